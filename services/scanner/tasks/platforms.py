"""Merging: the platforms of an image become one outcome and one list of findings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from services.kernel.model.finding import Finding, FindingKey
from services.kernel.model.report import Coverage, Report, sort_key
from services.kernel.model.severity import Severity
from services.scanner.api import PlacedFinding, State
from services.scanner.records import Outcome, PartRecord
from services.scanner.reports import outcome_of
from services.scanner.tasks.verdict import merge_engines

_WORST_FIRST = (Coverage.NONE, Coverage.PARTIAL, Coverage.FULL)


def merge_parts(parts: Sequence[PartRecord], reports: Mapping[str, Report]) -> Outcome:
    """Returns the outcome of an index whose platforms have all ended.

    FAILED when one of them failed, by all of its engines, with the first one's reason; else COMPLETE with the
    counts of distinct findings and the least coverage of all.
    """
    for platform, several in _by_platform(parts).items():
        if all(part.outcome.state is State.FAILED for part in several):
            outcome = several[0].outcome
            return Outcome(state=State.FAILED, reason=outcome.reason, message=f"{platform}: {outcome.message}")
    verdicts = platform_reports(parts, reports)
    least = outcome_of(min(verdicts.values(), key=lambda report: _WORST_FIRST.index(report.summary.coverage)))
    return Outcome(
        state=State.COMPLETE,
        reason=least.reason,
        message=least.message,
        coverage=least.coverage,
        findings=count(merge_findings(verdicts)),
        advisories_version=max(report.advisories.version for report in verdicts.values()),
    )


def platform_reports(parts: Sequence[PartRecord], reports: Mapping[str, Report]) -> dict[str, Report]:
    """Returns one report for each platform; where several engines were asked, what they say together.

    Every platform has at least one part that ended well.
    """
    merged = {}
    for platform, several in _by_platform(parts).items():
        # The one that locates all that it finds speaks first.
        ranked = sorted(several, key=lambda part: part.engine.value)
        said = [reports[part.scan_id] for part in ranked if part.outcome.state is State.COMPLETE]
        failures = {part.engine: part.outcome for part in ranked if part.outcome.state is not State.COMPLETE}
        merged[platform] = said[0] if len(several) == 1 else merge_engines(said, failures)
    return merged


def merge_findings(reports: Mapping[str, Report]) -> tuple[PlacedFinding, ...]:
    """Returns the findings of platforms, distinct by id, package, version and path, in the default order.

    Where platforms disagree about one of them, the more severe one speaks.
    """
    found: dict[FindingKey, tuple[Finding, list[str]]] = {}
    for platform, report in reports.items():
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


def _by_platform(parts: Sequence[PartRecord]) -> Mapping[str, Sequence[PartRecord]]:
    found: dict[str, list[PartRecord]] = {}
    for part in parts:
        found.setdefault(part.platform, []).append(part)
    return found
