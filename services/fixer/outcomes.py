"""What is to become of findings, by a plan. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from services.fixer.order import FindingOutcome, Verdict
from services.fixer.plan.outcome import FindingRef, NotFixable, Refusal
from services.fixer.plan.packages import Upgrade


def planned(upgrades: Sequence[Upgrade], refusals: Iterable[Refusal]) -> tuple[FindingOutcome, ...]:
    """Returns what is to become of every finding that was asked for."""
    outcomes = [
        FindingOutcome(finding=ref, verdict=Verdict.FIXED, message=_to(upgrade))
        for upgrade in upgrades
        for ref in upgrade.because
    ]
    outcomes.extend(
        FindingOutcome(finding=each.finding, verdict=Verdict.NOT_FIXABLE, why=each.why, message=each.message)
        for each in refusals
    )
    return tuple(sorted(outcomes, key=_order))


def left(findings: Iterable[FindingRef], why: str) -> tuple[FindingOutcome, ...]:
    """Returns the outcomes of a platform that is left as it is."""
    return tuple(
        FindingOutcome(finding=ref, verdict=Verdict.NOT_FIXABLE, why=NotFixable.PLATFORM_NOT_FIXED, message=why)
        for ref in sorted(findings, key=lambda ref: (ref.id, ref.package))
    )


def _to(upgrade: Upgrade) -> str:
    return f"{upgrade.installed.name} goes from {upgrade.installed.version} to {upgrade.candidate.version}."


def _order(outcome: FindingOutcome) -> tuple[str, str, str]:
    return (outcome.finding.id, outcome.finding.package, outcome.finding.path)
