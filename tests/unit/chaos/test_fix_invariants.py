"""Each invariant of fixes sees what contradicts it, and nothing else does."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.chaos.fixes.asking import Ask
from tests.chaos.fixes.evidence import FixedTag, Fixes, News
from tests.chaos.fixes.invariants import FIX_INVARIANTS
from tests.chaos.pushes import Push

PUSH = Push(number=0, instance_id="cri-1", repository="team/mend", tag="m0", digest="sha256:a", broken=False)
ASK = Ask(push=PUSH, task_id="f1", called_off=False)
TASK: dict[str, Any] = {
    "task_id": "f1",
    "instance_id": "cri-1",
    "namespace": "team",
    "repository": "mend",
    "tag": "m0",
    "digest": "sha256:a",
    "state": "SUCCEEDED",
    "reason": "",
    "message": "",
    "owner": "",
    "pushed_digest": "sha256:f",
    "fixed": 1,
    "still_present": 0,
    "scan_task_id": "s1",
}
TAG = FixedTag(
    instance_id="cri-1",
    repository="team/mend",
    tag="m0_fixd",
    digest="sha256:f",
    source="sha256:a",
    stacked=False,
    layers=["l1", "l2"],
    source_layers=["l1"],
    lost=[],
)
TOLD = News(target_id="x", delivery_id="d1", event="fix.finished", task_id="f1")
SCAN = {"task_id": "s1", "instance_id": "cri-1", "tag": "m0_fixd", "digest": "sha256:f", "state": "COMPLETE"}
GOOD = Fixes(
    asked=[ASK],
    tasks=[TASK],
    ends=[("f1", "SUCCEEDED", "e1")],
    tags=[TAG],
    news=[TOLD],
    target_ids=["x"],
    scans=[SCAN],
    left=[],
)
FAILED = {**TASK, "state": "FAILED", "reason": "WORKER_DIED", "message": "It died.", "pushed_digest": None}
FAILED_RUN = dataclasses.replace(
    GOOD,
    tasks=[FAILED],
    ends=[("f1", "FAILED", "e1")],
    tags=[],
    news=[dataclasses.replace(TOLD, event="fix.failed")],
    scans=[],
)
CANCELLED = {**FAILED, "reason": "CANCELLED"}
CANCELLED_RUN = dataclasses.replace(
    FAILED_RUN, asked=[dataclasses.replace(ASK, called_off=True)], tasks=[CANCELLED], news=[]
)


def broken_by(run: Fixes = GOOD, **changes: Any) -> set[str]:
    found = dataclasses.replace(run, **changes)
    return {check.__name__ for check in FIX_INVARIANTS if check(found)}


def test_good_runs_break_nothing() -> None:
    assert broken_by() == set()
    assert broken_by(FAILED_RUN) == set()
    assert broken_by(CANCELLED_RUN) == set()


def test_what_may_come_twice_may() -> None:
    assert broken_by(ends=[*GOOD.ends, *GOOD.ends], news=[TOLD, TOLD]) == set()


def test_a_fix_that_failed_after_its_push_leaves_its_tag() -> None:
    unproven = {**FAILED, "reason": "WORKER_DIED", "pushed_digest": "sha256:f"}
    assert broken_by(FAILED_RUN, tasks=[unproven], tags=[TAG], scans=[SCAN]) == set()
    assert broken_by(FAILED_RUN, tasks=[unproven]) == set()


@pytest.mark.parametrize(
    ("invariant", "run", "changes"),
    [
        ("every_asked_fix_ends_once_with_a_reason", GOOD, {"asked": []}),
        ("every_asked_fix_ends_once_with_a_reason", GOOD, {"tasks": []}),
        ("every_asked_fix_ends_once_with_a_reason", GOOD, {"tasks": [{**TASK, "state": "RUNNING"}]}),
        ("every_asked_fix_ends_once_with_a_reason", GOOD, {"tasks": [{**TASK, "owner": "somebody"}]}),
        ("every_asked_fix_ends_once_with_a_reason", FAILED_RUN, {"tasks": [{**FAILED, "message": ""}]}),
        ("only_our_faults_end_a_fix_badly", FAILED_RUN, {"tasks": [{**FAILED, "reason": "INTERNAL"}]}),
        ("only_our_faults_end_a_fix_badly", FAILED_RUN, {"tasks": [CANCELLED]}),
        ("only_our_faults_end_a_fix_badly", GOOD, {"asked": CANCELLED_RUN.asked}),
        ("only_our_faults_end_a_fix_badly", GOOD, {"tasks": [{**TASK, "fixed": 0}]}),
        ("only_our_faults_end_a_fix_badly", GOOD, {"tasks": [{**TASK, "still_present": 1}]}),
        ("each_end_of_a_fix_is_one_event", GOOD, {"ends": []}),
        ("each_end_of_a_fix_is_one_event", GOOD, {"ends": [*GOOD.ends, ("f1", "SUCCEEDED", "e2")]}),
        ("each_end_of_a_fix_is_one_event", GOOD, {"ends": [("f1", "FAILED", "e1")]}),
        ("each_end_of_a_fix_is_told_once", GOOD, {"news": []}),
        ("each_end_of_a_fix_is_told_once", GOOD, {"target_ids": ["x", "y"]}),
        ("each_end_of_a_fix_is_told_once", GOOD, {"news": [TOLD, dataclasses.replace(TOLD, delivery_id="d2")]}),
        ("each_end_of_a_fix_is_told_once", GOOD, {"news": [dataclasses.replace(TOLD, event="fix.failed")]}),
        ("each_end_of_a_fix_is_told_once", CANCELLED_RUN, {"news": [TOLD]}),
        ("fixed_tags_are_there_where_fixes_pushed", GOOD, {"tags": []}),
        ("fixed_tags_are_there_where_fixes_pushed", FAILED_RUN, {"tags": [TAG]}),
        ("fixed_tags_are_there_where_fixes_pushed", CANCELLED_RUN, {"tags": [TAG]}),
        ("fixed_tags_are_there_where_fixes_pushed", GOOD, {"tags": [dataclasses.replace(TAG, digest="sha256:b")]}),
        ("fixed_tags_are_there_where_fixes_pushed", GOOD, {"tags": [TAG, dataclasses.replace(TAG, tag="v_fixd")]}),
        ("fixed_images_are_whole", GOOD, {"tags": [dataclasses.replace(TAG, lost=["l2"])]}),
        ("fixes_are_built_from_the_original", GOOD, {"tags": [dataclasses.replace(TAG, source="sha256:b")]}),
        ("fixes_are_built_from_the_original", GOOD, {"tags": [dataclasses.replace(TAG, layers=["l", "l2"])]}),
        ("no_fix_fixes_a_fix", GOOD, {"tags": [dataclasses.replace(TAG, stacked=True)]}),
        ("no_fix_fixes_a_fix", GOOD, {"tasks": [TASK, {**TASK, "task_id": "f2", "tag": "m0_fixd"}]}),
        ("every_fixed_tag_is_scanned", GOOD, {"scans": []}),
        ("every_fixed_tag_is_scanned", GOOD, {"scans": [{**SCAN, "digest": "sha256:b"}]}),
        ("every_fixed_tag_is_scanned", GOOD, {"scans": [{**SCAN, "state": "FAILED"}]}),
        ("every_fixed_tag_is_scanned", GOOD, {"tasks": [{**TASK, "scan_task_id": "s2"}]}),
        ("fixers_leave_nothing_behind", GOOD, {"left": ["packages/.coming-1"]}),
    ],
)
def test_what_contradicts_an_invariant_is_seen(invariant: str, run: Fixes, changes: dict[str, Any]) -> None:
    assert invariant in broken_by(run, **changes)
