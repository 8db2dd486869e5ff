"""Evaluating: a policy held against reports. Pure; PASS is said only when nothing speaks against it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from services.kernel.model.finding import VULNERABILITIES, Finding, FindingKind, FixState
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.scanner.api import PlacedFinding
from services.scanner.gate.api import Decision, Excused, Exemption, GatePolicy, GateReason, GateVerdict
from services.scanner.gate.purls import parse_purl
from services.scanner.gate.vex import Statements, VexImage


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known of an image: complete reports, of this digest alone."""

    reports: tuple[Report, ...]
    """One for each platform, at least one."""
    findings: tuple[PlacedFinding, ...]
    """Of all of them, distinct."""
    digest: str
    """That was asked about: of the index, where it is one."""
    repository: str = ""
    """Path in the registry; empty for a file."""


def evaluate(policy: GatePolicy, evidence: Evidence, *, now: datetime, age_limit: timedelta) -> GateVerdict:
    """Returns the verdict; `age_limit` is that of advisories where the policy names none.

    Findings that are beyond a limit fail, however much else could not be told. Whatever could not be told makes
    it UNDECIDED otherwise.

    Raises:
        ServiceError: INVALID_VEX, VEX_TOO_LARGE.
    """
    sieve = _Sieve(policy, evidence, now)
    counted = [placed for placed in evidence.findings if sieve.counts(placed)]
    counts = Counter(placed.finding.severity for placed in counted)
    beyond = [severity for severity in Severity if _is_beyond(policy.limit(severity), counts[severity])]
    failures = tuple(_failure(severity, counts[severity], policy.limit(severity)) for severity in reversed(beyond))
    age_limit = policy.max_advisory_age if policy.max_advisory_age is not None else age_limit
    doubts = tuple(_doubts(policy, evidence.reports, now, age_limit))
    failing = sorted(
        (placed for placed in counted if placed.finding.severity in beyond),
        key=lambda placed: -placed.finding.severity.rank,
    )
    decision = Decision.FAIL if failures else Decision.UNDECIDED if doubts else Decision.PASS
    return GateVerdict(
        decision=decision,
        reasons=(*failures, *doubts) or (_passed(len(counted)),),
        notes=(*sieve.notes(), *_newer(evidence.reports)),
        counts={severity: counts[severity] for severity in Severity},
        failing=tuple(failing),
        excused=tuple(sieve.excused),
    )


class _Sieve:
    """Which findings count, and what the others are excused by."""

    def __init__(self, policy: GatePolicy, evidence: Evidence, now: datetime) -> None:
        self._policy = policy
        self._now = now
        digests = frozenset({evidence.digest, *(report.image.digest for report in evidence.reports)})
        self._statements = Statements(policy.vex, VexImage(digests=digests, repository=evidence.repository))
        self._exemptions: dict[str, list[Exemption]] = {}
        for each in policy.exemptions:
            self._exemptions.setdefault(each.finding_id.upper(), []).append(each)
        self._used: set[Exemption] = set()
        self._over: set[Exemption] = set()
        self.excused: list[Excused] = []

    def counts(self, placed: PlacedFinding) -> bool:
        """Tells whether a finding counts; notes by what it is excused."""
        finding = placed.finding
        if self._policy.kinds and finding.kind not in self._policy.kinds:
            return False
        if self._policy.fixable_only and finding.kind in VULNERABILITIES and not _is_fixable(finding):
            return False
        exemption = self._exemption(finding)
        if exemption is not None:
            self.excused.append(Excused(placed=placed, source="EXEMPTION", reason=exemption.reason))
            return False
        said = self._statements.excuse(finding)
        if said:
            self.excused.append(Excused(placed=placed, source="VEX", reason=said))
            return False
        return True

    def _exemption(self, finding: Finding) -> Exemption | None:
        known = [
            each for name in (finding.id, *finding.aliases) for each in self._exemptions.get(name.upper(), ())
        ]
        fitting = [each for each in known if _fits(each, finding)]
        valid = [each for each in fitting if each.expires_at is None or self._now < each.expires_at]
        self._used.update(valid)
        if not valid:
            self._over.update(fitting)
        return next(iter(valid), None)

    def notes(self) -> Iterator[GateReason]:
        """Yields what a person who wrote exemptions and statements wants to know."""
        if self._over:
            named = ", ".join(sorted({each.finding_id for each in self._over})[:5])
            yield GateReason(
                code="EXEMPTION_EXPIRED", message=f"These exemptions are over: {named}.", count=len(self._over)
            )
        idle = set(self._policy.exemptions) - self._used - self._over
        if idle:
            named = ", ".join(sorted({each.finding_id for each in idle})[:5])
            yield GateReason(
                code="EXEMPTION_UNUSED", message=f"Nothing was found that these exempt: {named}.", count=len(idle)
            )
        if self._statements.unused:
            said = f"{self._statements.unused} of {self._statements.total} VEX statements fit nothing"
            yield GateReason(
                code="VEX_STATEMENT_UNUSED",
                message=f"{said} that was found in this image.",
                count=self._statements.unused,
            )


def _is_fixable(finding: Finding) -> bool:
    return finding.fix_state is FixState.FIXED or bool(finding.fixed_version)


def _fits(exemption: Exemption, finding: Finding) -> bool:
    if not exemption.package:
        return True
    if finding.package is None:
        return False
    if exemption.package == finding.package.name:
        return True
    said, found = parse_purl(exemption.package), parse_purl(finding.package.purl)
    return said is not None and found is not None and said.covers(found)


def _is_beyond(limit: int | None, count: int) -> bool:
    return limit is not None and count > limit


def _failure(severity: Severity, count: int, limit: int | None) -> GateReason:
    findings = "finding" if count == 1 else "findings"
    if severity is Severity.UNKNOWN:
        message = f"Of {count} {findings} nobody has said how severe, and {limit} may pass."
    else:
        message = f"{count} {severity.value} {findings}, and {limit} may pass."
    return GateReason(code="TOO_MANY_FINDINGS", message=message, detail=severity.value, count=count)


def _passed(count: int) -> GateReason:
    what = (
        "Nothing was found that counts"
        if not count
        else f"Of {count} findings that count none is beyond its limit"
    )
    return GateReason(code="WITHIN_LIMITS", message=f"{what}.", count=count)


# what could not be told


def _doubts(
    policy: GatePolicy, reports: Sequence[Report], now: datetime, age_limit: timedelta
) -> Iterator[GateReason]:
    """Yields each doubt once, however many platforms have it."""
    seen: set[tuple[str, str]] = set()
    for report in reports:
        where = f"{report.image.platform}: " if len(reports) > 1 else ""
        for doubt in (*_coverage(report), *_unsought(policy, report), *_age(report, now, age_limit)):
            if (doubt.code, doubt.message) not in seen:
                seen.add((doubt.code, doubt.message))
                yield dataclasses.replace(doubt, message=where + doubt.message)


def _coverage(report: Report) -> Iterator[GateReason]:
    """A reason for each sort of warning: every one of them says that findings may be missing."""
    summary = report.summary
    codes = Counter(warning.code for warning in report.warnings)
    messages = {warning.code: warning.message for warning in reversed(report.warnings)}
    for code in sorted(codes, key=lambda each: each != summary.coverage_reason):
        yield GateReason(code=code, message=messages[code], count=codes[code])
    if summary.coverage is not Coverage.FULL and summary.coverage_reason not in codes:
        yield GateReason(
            code=summary.coverage_reason or "NOT_JUDGED_IN_FULL",
            message="A part of the image could not be judged.",
            detail=summary.coverage.value,
        )
    if report.advisories.sample and "SAMPLE_ADVISORIES" not in codes:
        yield GateReason(code="SAMPLE_ADVISORIES", message="Only a sample of advisories was used.")


def _unsought(policy: GatePolicy, report: Report) -> Iterator[GateReason]:
    # Releases that knew only vulnerabilities did not count kinds.
    sought = {FindingKind(kind) for kind in report.summary.by_kind} or VULNERABILITIES
    for kind in sorted(policy.kinds - sought, key=lambda each: each.value):
        yield GateReason(
            code="KIND_NOT_SOUGHT",
            message=f"{report.engine.name} did not look for {kind.value}.",
            detail=kind.value,
        )


def _age(report: Report, now: datetime, limit: timedelta) -> Iterator[GateReason]:
    try:
        # Facts of last year, imported today, are of last year.
        known_at = datetime.fromisoformat(report.advisories.facts_at or report.advisories.built_at)
        age = now - known_at
    except (ValueError, TypeError):
        yield GateReason(code="ADVISORIES_OF_UNKNOWN_AGE", message="Nobody knows how old the advisories are.")
        return
    if age > limit:
        yield GateReason(
            code="ADVISORIES_TOO_OLD",
            message=f"It was judged by advisories of {known_at:%Y-%m-%d}, and they may be {_span(limit)} old: "
            "scan it again.",
            detail=report.advisories.version,
        )


def _newer(reports: Sequence[Report]) -> Iterator[GateReason]:
    """No doubt by itself: how old advisories may be is the policy's to say."""
    for newer in dict.fromkeys(report.advisories.newer for report in reports if report.advisories.newer):
        yield GateReason(
            code="NEWER_ADVISORIES",
            message=f"Younger advisories ({newer}) are there, by which the image was not judged yet.",
            detail=newer,
        )


def _span(limit: timedelta) -> str:
    return f"{limit.days} days" if limit.days > 1 else f"{limit.total_seconds() / 3600:.0f} hours"
