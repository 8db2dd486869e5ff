"""Comparing: what is different between two verdicts on one image. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from services.kernel.model.finding import Finding, FindingKey, FindingKind
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.scanner.records import Difference
from services.scanner.reevaluate.records import Comparison


def compare(before: Report, after: Report) -> Comparison:
    """Returns what a later report says differently of the same image.

    Where nothing vouched for the earlier one, all that is new is found for the first time.
    """
    difference = difference_of(
        before.findings,
        after.findings,
        previous_version=before.advisories.version,
        first=before.advisories.sample or before.summary.coverage is Coverage.NONE,
    )
    trusted = (before.summary.coverage, before.summary.coverage_reason)
    return Comparison(
        difference=difference,
        matters=differs(difference) or trusted != (after.summary.coverage, after.summary.coverage_reason),
    )


def difference_of(
    before: Iterable[Finding], after: Iterable[Finding], *, previous_version: str, first: bool
) -> Difference:
    """Counts what is new, gone and said differently; a finding is the same as another by its key."""
    old = {finding.key: finding for finding in before}
    new = {finding.key: finding for finding in after}
    return Difference(
        previous_version=previous_version,
        new=_by_severity(new, new.keys() - old.keys()),
        malicious=sum(new[key].kind is FindingKind.MALICIOUS_SAMPLE for key in new.keys() - old.keys()),
        gone=_by_severity(old, old.keys() - new.keys()),
        changed=sum(_says(old[key]) != _says(new[key]) for key in old.keys() & new.keys()),
        first=first,
    )


def differs(difference: Difference) -> bool:
    """Tells whether any finding is new, gone or said differently."""
    return bool(difference.new or difference.gone or difference.changed)


def _by_severity(findings: Mapping[FindingKey, Finding], keys: Iterable[FindingKey]) -> Mapping[Severity, int]:
    return dict(Counter(findings[key].severity for key in keys))


def _says(finding: Finding) -> tuple[object, ...]:
    """What somebody would act otherwise for; titles and links are mended all the time."""
    return (finding.kind, finding.severity, finding.score, finding.fixed_version, finding.fix_state)
