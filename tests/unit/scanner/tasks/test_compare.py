"""What a scan found that the one before it did not have."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest

from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage
from services.kernel.model.severity import Severity
from services.scanner.api import Comparison, State
from services.scanner.records import Outcome, PartRecord, StoredReport, TaskRecord
from services.scanner.reports import pack_report
from services.scanner.tasks.compare import MOST_EXAMPLES, compare_tasks
from tests.builders.reports import LODASH, OPENSSL, a_report, baseline, malware, vulnerability
from tests.builders.scanner import image

SYSTEM, APPLICATION = FindingKind.SYSTEM_VULNERABILITY, FindingKind.APPLICATION_VULNERABILITY
COMPLETE = Outcome(state=State.COMPLETE, coverage=Coverage.FULL)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A task, its scan and what that found."""

    task: TaskRecord
    part: PartRecord
    packed: bytes


def scanned(findings: Sequence[Finding], outcome: Outcome = COMPLETE) -> Scanned:
    scan_id, digest = str(uuid.uuid4()), image().digest
    task = TaskRecord(
        task_id=str(uuid.uuid4()),
        image=image(),
        engine=Engine.SECURITY_CENTER,
        scan_id=scan_id,
        outcome=outcome,
        rule_ids=(),
        target_ids=(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        ended_at=None,
    )
    part = PartRecord(
        scan_id=scan_id,
        engine=Engine.SECURITY_CENTER,
        platform="linux/amd64",
        digest=digest,
        outcome=Outcome(state=State.COMPLETE),
    )
    return Scanned(task=task, part=part, packed=pack_report(a_report(findings)))


def compared(now: Scanned, earlier: Scanned | None, *, gone: Scanned | None = None) -> Comparison:
    known = [each for each in (now, earlier) if each is not None]
    return compare_tasks(
        now.task,
        earlier.task if earlier is not None else None,
        {each.task.task_id: [each.part] for each in known},
        {each.part.scan_id: StoredReport(content=each.packed) for each in known if each is not gone},
    )


def test_only_what_the_earlier_scan_did_not_have_is_new() -> None:
    old = vulnerability(OPENSSL, "CVE-1", kind=SYSTEM, aliases=())
    fresh = vulnerability(OPENSSL, "CVE-2", kind=SYSTEM, severity=Severity.CRITICAL, aliases=())
    earlier = scanned([old])
    told = compared(scanned([old, fresh]), earlier)
    assert told.found == {SYSTEM: {Severity.HIGH: 1, Severity.CRITICAL: 1}}
    assert told.new == {SYSTEM: {Severity.CRITICAL: 1}}
    assert [each.id for each in told.examples] == ["CVE-2"]
    assert (told.earlier_task_id, told.doubt) == (earlier.task.task_id, "")


def test_without_an_earlier_scan_all_is_new() -> None:
    told = compared(scanned([baseline(), malware()]), None)
    assert (
        told.new
        == told.found
        == {
            FindingKind.BASELINE_RISK: {Severity.HIGH: 1},
            FindingKind.MALICIOUS_SAMPLE: {Severity.CRITICAL: 1},
        }
    )
    assert told.earlier_task_id == ""


def test_an_earlier_scan_whose_report_is_gone_makes_nothing_known() -> None:
    earlier = scanned([malware()])
    told = compared(scanned([malware()]), earlier, gone=earlier)
    assert told.new == told.found
    assert told.earlier_task_id == ""


def test_a_finding_stays_known_under_another_of_its_names_and_in_another_version() -> None:
    before = vulnerability(LODASH, "GHSA-x", aliases=("CVE-9",))
    moved = msgspec.structs.replace(LODASH, version="4.17.21", purl="pkg:npm/%40acme/lodash@4.17.21")
    told = compared(scanned([vulnerability(moved, "CVE-9", aliases=())]), scanned([before]))
    assert told.new == {}


@pytest.mark.parametrize(
    "other",
    [
        vulnerability(OPENSSL, "CVE-1"),
        vulnerability(msgspec.structs.replace(LODASH, path="/elsewhere/package-lock.json"), "CVE-1"),
        vulnerability(LODASH, "CVE-1", kind=SYSTEM),
        vulnerability(LODASH, "CVE-2", aliases=()),
    ],
    ids=["package", "file", "kind", "id"],
)
def test_another_package_file_kind_or_id_is_new(other: Finding) -> None:
    told = compared(scanned([other]), scanned([vulnerability(LODASH, "CVE-1")]))
    assert len(told.examples) == 1


def test_another_file_with_the_same_malware_is_new() -> None:
    other = msgspec.structs.replace(malware(), sha256="a" * 64)
    assert compared(scanned([malware(), other]), scanned([malware()])).examples == (other,)


def test_a_scan_that_could_not_judge_all_says_so() -> None:
    partial = Outcome(state=State.COMPLETE, coverage=Coverage.PARTIAL, reason="STALE_ADVISORIES")
    assert compared(scanned([], partial), scanned([malware()])).doubt == "STALE_ADVISORIES"


def test_examples_are_the_worst_and_few() -> None:
    many = [vulnerability(LODASH, f"CVE-{n}", severity=Severity.LOW, aliases=()) for n in range(100)]
    told = compared(scanned([*many, malware()]), None)
    assert len(told.examples) == MOST_EXAMPLES
    assert told.examples[0].id == malware().id
    assert told.new[APPLICATION] == {Severity.LOW: 100}


def test_what_has_not_ended_well_or_lost_its_report_cannot_be_compared() -> None:
    failed, lost = scanned([], Outcome(state=State.FAILED)), scanned([])
    with pytest.raises(ServiceError, match="not complete"):
        compared(failed, None)
    with pytest.raises(ServiceError, match="is gone"):
        compared(lost, None, gone=lost)
