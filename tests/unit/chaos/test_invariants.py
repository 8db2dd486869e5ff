"""Each invariant of the chaos suite sees what contradicts it, and nothing else does."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.fixes.evidence import Fixes
from tests.chaos.invariants import INVARIANTS
from tests.chaos.pushes import Push
from tests.plain_consumer import WORDS, Got

PUSH = Push(number=0, instance_id="cri-1", repository="team/app", tag="v1", digest="sha256:a", broken=False)
TASK = {
    "task_id": "t1",
    "instance_id": "cri-1",
    "namespace": "team",
    "repository": "app",
    "tag": "v1",
    "digest": "sha256:a",
    "state": "COMPLETE",
    "reason": "",
    "message": "",
    "parts": 1,
    "reports": 1,
}
TAG = {name: TASK[name] for name in ("instance_id", "namespace", "repository", "tag", "digest")}
DELIVERY = {"target_id": "x", "event_id": "e1", "delivery_id": "d1", "state": "DELIVERED", "lease_owner": None}
RECEIPT = {"delivery_id": "d1", "outcome": "DELIVERED", "reason": "", "attempt": 1}
UNKNOWN = {"delivery_id": "d1", "outcome": "UNKNOWN", "reason": "WORKER_DIED", "attempt": 1}
WORDS_SAID = {word: word for word in WORDS}
CREATED = Got(
    partition=0,
    offset=0,
    key="sha256:a",
    headers={"ce_id": "1", "ce_subject": "u1", "ce_type": "drydock.finding.created"},
    value=json.dumps({"unmapped": WORDS_SAID}).encode(),
)
STATE = dataclasses.replace(CREATED, key="u1")
GOOD = Evidence(
    pushes=[PUSH],
    unsettled={},
    tasks=[TASK],
    tags=[TAG],
    ends=[("t1", "COMPLETE", "e1")],
    told=[("t1", "x")],
    deliveries=[DELIVERY],
    receipts=[RECEIPT],
    received=[("x", "d1")],
    completions=["s1"],
    dead_letters={"topic": 0},
    deaths={},
    finding_events=[CREATED],
    finding_states=[STATE],
    open_uids=frozenset({"u1"}),
    reported=frozenset({WORDS}),
    fixes=Fixes(asked=[], tasks=[], ends=[], tags=[], news=[], target_ids=[], scans=[], left=[]),
)
FAILED = {**TASK, "state": "FAILED", "reason": "REGISTRY_ERROR", "message": "It answered 502."}


def broken_by(**changes: Any) -> set[str]:
    found = dataclasses.replace(GOOD, **changes)
    return {name for name, check in INVARIANTS.items() if check(found)}


def test_a_good_run_breaks_nothing() -> None:
    assert broken_by() == set()


def test_the_same_message_on_the_bus_again_is_no_second_end() -> None:
    assert broken_by(ends=[("t1", "COMPLETE", "e1")] * 2) == set()


def test_a_repetition_after_an_unknown_outcome_is_allowed_once() -> None:
    assert broken_by(receipts=[UNKNOWN, RECEIPT], received=[("x", "d1")] * 2) == set()
    assert broken_by(receipts=[UNKNOWN, RECEIPT], received=[("x", "d1")] * 3) == {
        "repeated only after an unknown outcome"
    }


def test_a_broken_image_must_fail_and_may_be_told_so() -> None:
    broken = dataclasses.replace(PUSH, broken=True)
    assert broken_by(pushes=[broken], tasks=[FAILED], ends=[("t1", "FAILED", "e1")]) == set()
    assert broken_by(pushes=[broken]) == {"only what is broken fails"}


@pytest.mark.parametrize(
    ("invariant", "changes"),
    [
        ("everything comes to rest", {"unsettled": {"scans to be done": 1}}),
        ("every push has one task", {"pushes": [PUSH, dataclasses.replace(PUSH, number=1)]}),
        ("every push has one task", {"pushes": []}),
        ("every task ends with a verdict or a reason", {"tasks": [{**FAILED, "message": ""}]}),
        ("every task ends with a verdict or a reason", {"tasks": [{**TASK, "state": "RUNNING"}]}),
        ("only what is broken fails", {"tasks": [FAILED]}),
        ("complete is readable on every platform", {"tasks": [{**TASK, "parts": 2}]}),
        ("no task ends twice", {"ends": [("t1", "COMPLETE", "e1"), ("t1", "COMPLETE", "e2")]}),
        ("no task ends twice", {"ends": []}),
        ("no task ends twice", {"ends": [("t1", "FAILED", "e1")]}),
        ("no scan is completed twice", {"completions": ["s1", "s1"]}),
        ("tags point at their last push", {"tags": [{**TAG, "digest": "sha256:b"}]}),
        ("tags point at their last push", {"tags": []}),
        ("every end is told to every target", {"received": []}),
        ("every end is told to every target", {"received": [("x", "d1"), ("x", "stranger")]}),
        ("every delivery ends with its receipts", {"receipts": []}),
        ("every delivery ends with its receipts", {"deliveries": [{**DELIVERY, "state": "DEAD"}]}),
        ("repeated only after an unknown outcome", {"received": [("x", "d1")] * 2}),
        ("one delivery for each end and target", {"deliveries": [DELIVERY, {**DELIVERY, "delivery_id": "d2"}]}),
        ("nothing is buried", {"dead_letters": {"topic": 1}}),
        ("no process ends by itself", {"deaths": {"rules-1": ["status 1"]}}),
    ],
)
def test_what_contradicts_an_invariant_is_seen(invariant: str, changes: dict[str, Any]) -> None:
    assert invariant in broken_by(**changes)


def test_the_invariants_of_fixes_are_among_them() -> None:
    left = dataclasses.replace(GOOD.fixes, left=["packages/.coming-1"])
    assert broken_by(fixes=left) == {"fixers leave nothing behind"}


def event(number: int, type_: str = "created", uid: str = "u1") -> Got:
    headers = {"ce_id": str(number), "ce_subject": uid, "ce_type": f"drydock.finding.{type_}"}
    return dataclasses.replace(CREATED, headers=headers)


OPEN = "findings told are those that are open"
ORDER = "findings are told in order and once"
COMPACTED = "the compacted topic holds what is open"


def test_an_event_that_came_twice_with_its_id_is_one() -> None:
    assert broken_by(finding_events=[CREATED, CREATED]) == set()


def test_findings_that_differ_from_the_stream_are_noticed() -> None:
    assert broken_by(finding_events=[], finding_states=[]) == {OPEN}
    assert broken_by(open_uids=frozenset()) == {OPEN}
    assert broken_by(reported=frozenset()) == {OPEN}
    assert broken_by(reported=frozenset({WORDS, ("another",)})) == {OPEN}
    assert broken_by(finding_events=[CREATED, event(2)]) == {ORDER}
    assert broken_by(finding_events=[CREATED, event(2, "updated")]) == set()
    twice = dataclasses.replace(CREATED, value=b"{}")
    assert broken_by(finding_events=[CREATED, twice]) == {ORDER}
    assert broken_by(finding_events=[CREATED, event(2, "updated", "u2")]) >= {ORDER, OPEN}
    assert broken_by(finding_states=[]) == {COMPACTED}
    assert broken_by(finding_states=[STATE, dataclasses.replace(STATE, value=None)]) == {COMPACTED}
    assert broken_by(finding_states=None) == set()
