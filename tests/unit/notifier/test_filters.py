"""Which events are an occasion for which target, and that nobody takes silence for "nothing new"."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Mapping

import pytest

from drydock.events.v1.scan_event_pb2 import Reevaluation
from services.kernel.errors import ServiceError
from services.kernel.model.finding import FindingKind
from services.kernel.model.severity import Severity
from services.notifier.api import Occasion, Subscription
from services.notifier.convert_events import from_scan_event
from services.notifier.events import ScanEvent
from services.notifier.filters import Answer, Ask, Pass, Tell, Unanswered, decide
from services.notifier.subscription import check_subscription
from services.scanner.api import Comparison
from tests.builders.notifier import scan_event

SYSTEM, MALWARE = FindingKind.SYSTEM_VULNERABILITY, FindingKind.MALICIOUS_SAMPLE
DEFAULT = Subscription()
NEW = Subscription(occasions=frozenset({Occasion.FINDINGS}), new_only=True)
NEW_HIGH = dataclasses.replace(NEW, min_severity=Severity.HIGH)
MALICIOUS = Subscription(occasions=frozenset({Occasion.MALICIOUS_SAMPLE}))


def event(state: str = "COMPLETE", coverage: str = "FULL", reason: str = "", **findings: int) -> ScanEvent:
    record = scan_event("tgt-1", state=state, findings=findings, coverage=coverage, reason=reason)
    return from_scan_event(record.message.value)


def compared(
    found: Mapping[FindingKind, Mapping[Severity, int]],
    new: Mapping[FindingKind, Mapping[Severity, int]],
    doubt: str = "",
) -> Comparison:
    return Comparison(
        task_id=str(uuid.UUID(int=1)), earlier_task_id="", doubt=doubt, found=found, new=new, examples=()
    )


def told(subscription: Subscription, said: ScanEvent, answer: Answer | None = None) -> str:
    match decide(subscription, said, answer):
        case Tell(occasions=occasions):
            return ",".join(sorted(each.value for each in occasions))
        case Ask():
            return "ask"
        case Pass():
            return ""


@pytest.mark.parametrize(
    ("said", "occasion"),
    [
        (event(LOW=1), "FINDINGS"),
        (event(LOW=0), ""),
        (event(coverage="PARTIAL"), ""),
        (event(coverage="NONE"), "FINDINGS"),
        (event("FAILED"), "FAILED"),
        (event("FAILED", reason="CANCELLED"), ""),
        (event("SCANNING", LOW=1), ""),
        (event("RETRYING"), ""),
    ],
)
def test_by_default_findings_failures_and_what_could_not_be_judged_are_told(
    said: ScanEvent, occasion: str
) -> None:
    assert told(DEFAULT, said) == occasion


def test_every_end_is_told_to_whom_it_is_to() -> None:
    every = Subscription(occasions=frozenset({Occasion.COMPLETED}))
    assert told(every, event()) == told(every, event(HIGH=1)) == "COMPLETED"
    assert told(every, event("FAILED")) == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (event(LOW=9, UNKNOWN=9), ""),
        (event(MEDIUM=1), ""),
        (event(HIGH=1), "FINDINGS"),
        (event(CRITICAL=1), "FINDINGS"),
    ],
)
def test_less_severe_findings_are_no_occasion(said: ScanEvent, expected: str) -> None:
    least = Subscription(occasions=frozenset({Occasion.FINDINGS}), min_severity=Severity.HIGH)
    assert told(least, said) == expected


def test_new_findings_only_are_told_once_the_scanner_has_said_what_is_new() -> None:
    said = event(HIGH=2)
    found = {SYSTEM: {Severity.HIGH: 2}}
    assert told(NEW, said) == "ask"
    assert told(NEW, said, compared(found, {})) == ""
    assert told(NEW, said, compared(found, {SYSTEM: {Severity.HIGH: 1}})) == "FINDINGS"


def test_new_findings_that_are_less_severe_are_no_occasion() -> None:
    said, found = event(HIGH=1, LOW=1), {SYSTEM: {Severity.HIGH: 1, Severity.LOW: 1}}
    assert told(NEW_HIGH, said, compared(found, {SYSTEM: {Severity.LOW: 1}})) == ""
    assert told(NEW_HIGH, said, compared(found, {SYSTEM: {Severity.HIGH: 1}})) == "FINDINGS"
    assert told(NEW_HIGH, event(LOW=1)) == ""


@pytest.mark.parametrize("coverage", ["PARTIAL", "NONE"])
def test_nothing_new_is_never_meant_by_silence_after_a_scan_that_could_not_judge_all(coverage: str) -> None:
    assert told(NEW, event(coverage=coverage)) == "FINDINGS"
    assert told(NEW_HIGH, event(coverage=coverage)) == "FINDINGS"


@pytest.mark.parametrize(
    "answer", [Unanswered(reason="REPORT_NOT_EXIST"), compared({SYSTEM: {Severity.HIGH: 1}}, {}, doubt="STALE")]
)
def test_nothing_new_is_never_meant_by_silence_when_nobody_could_compare(answer: Answer) -> None:
    assert told(NEW, event(HIGH=1), answer) == "FINDINGS"


def test_what_is_new_of_a_partial_scan_is_asked_for_the_sake_of_who_is_told() -> None:
    assert told(NEW, event(coverage="PARTIAL", HIGH=1)) == "ask"


def test_malicious_samples_are_looked_for_among_what_was_found() -> None:
    said = event(CRITICAL=1)
    assert told(MALICIOUS, event()) == ""
    assert told(MALICIOUS, said) == "ask"
    assert told(MALICIOUS, said, compared({SYSTEM: {Severity.CRITICAL: 1}}, {})) == ""
    assert told(MALICIOUS, said, compared({MALWARE: {Severity.LOW: 1}}, {})) == "MALICIOUS_SAMPLE"
    assert told(MALICIOUS, said, Unanswered(reason="INTERNAL")) == "MALICIOUS_SAMPLE"
    assert told(MALICIOUS, event(coverage="NONE")) == "MALICIOUS_SAMPLE"


def test_a_malicious_sample_is_told_however_its_rule_is_rated() -> None:
    strict = dataclasses.replace(MALICIOUS, min_severity=Severity.CRITICAL)
    assert told(strict, event(LOW=1), compared({MALWARE: {Severity.LOW: 1}}, {})) == "MALICIOUS_SAMPLE"


@pytest.mark.parametrize(
    ("subscription", "new", "malicious", "expected"),
    [
        (DEFAULT, {"LOW": 1}, 0, "FINDINGS"),
        (NEW, {"LOW": 1}, 0, "FINDINGS"),
        (NEW_HIGH, {"LOW": 1}, 0, ""),
        (dataclasses.replace(NEW_HIGH, new_only=False), {"LOW": 1}, 0, ""),
        (NEW_HIGH, {"HIGH": 1}, 0, "FINDINGS"),
        (MALICIOUS, {"HIGH": 1}, 0, ""),
        (MALICIOUS, {"HIGH": 1}, 1, "MALICIOUS_SAMPLE"),
        (Subscription(occasions=frozenset({Occasion.COMPLETED})), {"LOW": 1}, 0, "COMPLETED"),
        (Subscription(occasions=frozenset({Occasion.FAILED})), {"LOW": 1}, 0, ""),
    ],
)
def test_of_what_newer_advisories_changed_only_what_is_new_is_an_occasion(
    subscription: Subscription, new: dict[str, int], malicious: int, expected: str
) -> None:
    reevaluation = Reevaluation(new_findings=new, new_malicious_samples=malicious)
    # What the image had before, and that not all of it could be judged, was told when it was scanned.
    record = scan_event("tgt-1", findings={"CRITICAL": 3}, coverage="PARTIAL", reevaluation=reevaluation)
    assert told(subscription, from_scan_event(record.message.value)) == expected


def test_nobody_is_asked_where_the_event_itself_says_enough() -> None:
    both = Subscription(occasions=frozenset({Occasion.FINDINGS, Occasion.MALICIOUS_SAMPLE}))
    assert told(both, event(LOW=1)) == "FINDINGS"
    assert told(dataclasses.replace(both, min_severity=Severity.HIGH), event(LOW=1)) == "ask"


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ({"instances": ("cri-1",)}, True),
        ({"instances": ("cri-2",)}, False),
        ({"namespaces": ("other", "team")}, True),
        ({"namespaces": ("other",)}, False),
        ({"repositories": ("team/app",)}, True),
        ({"repositories": ("app",)}, False),
        ({"tag_pattern": "[0-9.]+"}, True),
        ({"tag_pattern": "1"}, False),
        ({"namespaces": ("team",), "repositories": ("team/web",)}, False),
    ],
)
def test_a_target_hears_of_images_in_its_scope_only(scope: dict[str, object], covered: bool) -> None:
    subscription = dataclasses.replace(DEFAULT, **scope)  # type: ignore[arg-type] # of the fields named above
    assert bool(told(subscription, event(HIGH=1))) is covered
    assert bool(told(subscription, event("FAILED"))) is covered


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"occasions": frozenset()}, "INVALID_SUBSCRIPTION"),
        ({"occasions": frozenset({Occasion.FAILED}), "new_only": True}, "INVALID_SUBSCRIPTION"),
        ({"tag_pattern": "("}, "INVALID_TAG_PATTERN"),
        ({"window_seconds": 1}, "INVALID_SUBSCRIPTION"),
        ({"window_seconds": -60}, "INVALID_SUBSCRIPTION"),
        ({"window_seconds": 8 * 86_400}, "INVALID_SUBSCRIPTION"),
        ({"instances": ("lab\0",)}, "INVALID_SUBSCRIPTION"),
        ({"namespaces": ("TEAM",)}, "INVALID_SUBSCRIPTION"),
        ({"repositories": ("team/app:1.0",)}, "INVALID_SUBSCRIPTION"),
        ({"namespaces": tuple(f"n{n}" for n in range(101))}, "INVALID_SUBSCRIPTION"),
    ],
)
def test_what_makes_no_sense_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(ServiceError) as caught:
        check_subscription(dataclasses.replace(DEFAULT, **changes))  # type: ignore[arg-type] # as above
    assert caught.value.reason == reason
