"""Merging: the platforms of an image become one outcome and one list of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from services.kernel.model.finding import Finding, FindingKey
from services.kernel.model.report import Coverage, Report, sort_key
from services.kernel.model.severity import Severity
from services.scanner.api import PlacedFinding, State
from services.scanner.records import Outcome, PartRecord

_WORST_FIRST = (Coverage.NONE, Coverage.PARTIAL, Coverage.FULL)


def merge_parts(parts: Sequence[PartRecord], reports: Mapping[str, Report]) -> Outcome:
    """Returns the outcome of an index whose platforms have all ended.

    FAILED when one of them failed, with the first one's reason; else COMPLETE with the counts of distinct
    findings and the least coverage of all.
    """
    for part in parts:
        if part.outcome.state is State.FAILED:
            message = f"{part.platform}: {part.outcome.message}"
            return Outcome(state=State.FAILED, reason=part.outcome.reason, message=message)
    least = min(parts, key=lambda part: _WORST_FIRST.index(part.outcome.coverage or Coverage.NONE)).outcome
    placed = merge_findings([(part.platform, reports[part.scan_id]) for part in parts])
    return Outcome(
        state=State.COMPLETE,
        reason=least.reason,
        message=least.message,
        coverage=least.coverage,
        findings=count(placed),
        advisories_version=max(part.outcome.advisories_version for part in parts),
    )


def merge_findings(reports: Sequence[tuple[str, Report]]) -> tuple[PlacedFinding, ...]:
    """Returns the findings of platforms, distinct by id, package, version and path, in the default order.

    Where platforms disagree about one of them, the more severe one speaks.
    """
    found: dict[FindingKey, tuple[Finding, list[str]]] = {}
    for platform, report in reports:
        for finding in report.findings:
            known, platforms = found.get(finding.key, (finding, []))
            worst = max(known, finding, key=lambda candidate: candidate.severity.rank)
            found[finding.key] = (worst, [*platforms, platform])
    ordered = sorted(found.values(), key=lambda item: sort_key(item[0]))
    return tuple(PlacedFinding(finding=finding, platforms=tuple(platforms)) for finding, platforms in ordered)


def count(findings: Sequence[PlacedFinding]) -> Mapping[Severity, int]:
    """Counts findings by severity, zero included."""
    counted = Counter(placed.finding.severity for placed in findings)
    return {severity: counted[severity] for severity in Severity}
