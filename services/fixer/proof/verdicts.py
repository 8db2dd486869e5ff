"""What became of each finding, by two reports and what was done in between. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Final

from services.fixer.order import FindingOutcome, Verdict
from services.kernel.model.finding import Finding
from services.kernel.model.report import Coverage, Report, ReportWarning

_DOUBTED: Final = "The scan of the fixed image could not judge all of it: that it tells of none means nothing."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the scan of a platform's fixed image says."""

    outcomes: tuple[FindingOutcome, ...]
    new: int
    """Findings that the report of the original does not have."""


def judge(plan: Sequence[FindingOutcome], before: Report, after: Report) -> Judged:
    """Holds what was to become of findings against a scan of what did become of the image.

    A finding is gone when its id, or another one of the same thing, is told of its package no more, in whatever
    version. Where the later scan could judge less than the earlier one, or has not seen the package, nothing is
    called FIXED: no finding is falsely gone.
    """
    there = {(name, _package(finding)) for finding in after.findings for name in (finding.id, *finding.aliases)}
    there |= _by_other_names(before, {(finding.id, _package(finding)) for finding in after.findings})
    less = _is_less(before, after)
    seen = {package.name for package in after.inventory.packages}
    outcomes = []
    for outcome in plan:
        if outcome.verdict is Verdict.FIXED and (outcome.finding.id, outcome.finding.package) in there:
            message = f"{outcome.finding.package} still has it by the scan of the fixed image."
            outcomes.append(dataclasses.replace(outcome, verdict=Verdict.STILL_PRESENT, message=message))
        elif outcome.verdict is Verdict.FIXED and (less or outcome.finding.package not in seen):
            outcomes.append(dataclasses.replace(outcome, verdict=Verdict.STILL_PRESENT, message=_DOUBTED))
        else:
            outcomes.append(outcome)
    known = {_what(finding) for finding in before.findings}
    return Judged(outcomes=tuple(outcomes), new=sum(_what(finding) not in known for finding in after.findings))


def _what(finding: Finding) -> tuple[str, ...]:
    """What makes a finding the same in both reports: not the version, which is another one now."""
    return (finding.kind.value, finding.id, _package(finding), finding.path, finding.match, finding.sha256)


def _package(finding: Finding) -> str:
    return finding.package.name if finding.package else ""


def _by_other_names(before: Report, there: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
    """Returns the earlier findings that the later scan tells of by one of their other ids.

    Two findings that share an advisory are two things: the later id has to be one of the earlier finding's own.
    """
    return {
        (finding.id, _package(finding))
        for finding in before.findings
        if any((name, _package(finding)) in there for name in finding.aliases)
    }


def _is_less(before: Report, after: Report) -> bool:
    """Tells whether the later scan could judge less: by its coverage, or by warnings that the earlier had not."""
    known = {_warned(each) for each in before.warnings}
    return _rank(after.summary.coverage) < _rank(before.summary.coverage) or (
        after.summary.coverage is not Coverage.FULL and any(_warned(each) not in known for each in after.warnings)
    )


def _warned(warning: ReportWarning) -> tuple[str, str, str]:
    return (warning.code, warning.path, warning.ecosystem)


def _rank(coverage: Coverage) -> int:
    return (Coverage.NONE, Coverage.PARTIAL, Coverage.FULL).index(coverage)
