"""Comparing: what a complete task found that the scan before it did not have. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.scanner.api import Comparison, State
from services.scanner.records import PartRecord, StoredReport, TaskRecord
from services.scanner.reports import read_report
from services.scanner.tasks.platforms import merge_findings, platform_reports

MOST_EXAMPLES = 20
SCAN_INCOMPLETE = "SCAN_INCOMPLETE"
"""This scan could not judge all: what it did not find may be there."""


def compare_tasks(
    task: TaskRecord,
    earlier: TaskRecord | None,
    parts: Mapping[str, Sequence[PartRecord]],
    packed: Mapping[str, StoredReport],
) -> Comparison:
    """Compares a task with the one before it; one whose report is gone counts as none: all is new then.

    Args:
        task: what ended.
        earlier: what it is held against; None where there was nothing.
        parts: their scans, by task.
        packed: reports of these, as they are stored.

    Raises:
        ServiceError: SCAN_NOT_COMPLETE, REPORT_NOT_EXIST.
    """
    if task.outcome.state is not State.COMPLETE:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "SCAN_NOT_COMPLETE",
            f"Task {task.task_id} is not complete: it found nothing.",
        )
    found = _findings(parts[task.task_id], packed)
    if found is None:
        raise not_found("REPORT_NOT_EXIST", f"The report of task {task.task_id} is gone.")
    known = _findings(parts[earlier.task_id], packed) if earlier is not None else None
    fresh = tuple(_unknown(found, known or ()))
    worst = sorted(fresh, key=lambda each: -each.severity.rank)
    return Comparison(
        task_id=task.task_id,
        earlier_task_id=earlier.task_id if earlier is not None and known is not None else "",
        doubt="" if task.outcome.coverage is Coverage.FULL else task.outcome.reason or SCAN_INCOMPLETE,
        found=_counted(found),
        new=_counted(fresh),
        examples=tuple(worst[:MOST_EXAMPLES]),
    )


def _findings(parts: Sequence[PartRecord], packed: Mapping[str, StoredReport]) -> tuple[Finding, ...] | None:
    """Returns what was found, distinct over all platforms; None when a report is gone."""
    ended = [part.scan_id for part in parts if part.outcome.state is State.COMPLETE]
    if not ended or not all(scan_id in packed for scan_id in ended):
        return None
    reports: dict[str, Report] = {scan_id: read_report(packed[scan_id]) for scan_id in ended}
    return tuple(placed.finding for placed in merge_findings(platform_reports(parts, reports)))


def _unknown(found: Iterable[Finding], known: Iterable[Finding]) -> Iterable[Finding]:
    """Yields what is not known by any of its names: databases rename what they have."""
    names = {name for each in known for name in _names(each)}
    return (each for each in found if names.isdisjoint(_names(each)))


def _names(finding: Finding) -> Iterable[tuple[str, ...]]:
    if finding.package is not None:
        about: tuple[str, ...] = (finding.package.ecosystem, finding.package.name, finding.path)
    else:
        about = (finding.path, finding.match, finding.sha256)
    return ((finding.kind.value, name, *about) for name in (finding.id, *finding.aliases))


def _counted(findings: Iterable[Finding]) -> Mapping[FindingKind, Mapping[Severity, int]]:
    counted = Counter((each.kind, each.severity) for each in findings)
    return {
        kind: {severity: counted[kind, severity] for severity in Severity if counted[kind, severity]}
        for kind in FindingKind
        if any(counted[kind, severity] for severity in Severity)
    }
