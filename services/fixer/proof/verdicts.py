"""What became of each finding, by two reports and what was done in between. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Final

from services.fixer.order import FindingOutcome, Verdict
from services.kernel.model.finding import Finding
from services.kernel.model.report import Coverage, Report

_DOUBTED: Final = "The scan of the fixed image could not judge all of it: that it tells of none means nothing."


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the scan of a platform's fixed image says."""

    outcomes: tuple[FindingOutcome, ...]
    new: int
    """Findings that the report of the original does not have."""


def judge(plan: Sequence[FindingOutcome], before: Report, after: Report) -> Judged:
    """Holds what was to become of findings against a scan of what did become of the image.

    A finding is gone when its id is told of its package no more, in whatever version. Where the later scan could
    judge less than the earlier one, nothing is called FIXED: no finding is falsely gone.
    """
    there = {(finding.id, _package(finding)) for finding in after.findings}
    less = _rank(after.summary.coverage) < _rank(before.summary.coverage)
    outcomes = []
    for outcome in plan:
        if outcome.verdict is Verdict.FIXED and (outcome.finding.id, outcome.finding.package) in there:
            message = f"{outcome.finding.package} still has it by the scan of the fixed image."
            outcomes.append(dataclasses.replace(outcome, verdict=Verdict.STILL_PRESENT, message=message))
        elif outcome.verdict is Verdict.FIXED and less:
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


def _rank(coverage: Coverage) -> int:
    return (Coverage.NONE, Coverage.PARTIAL, Coverage.FULL).index(coverage)
