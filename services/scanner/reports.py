"""Reports as bytes: the JSON of `docs/report.schema.json`, compressed for storage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
import zstandard

from services.kernel.model.finding import Finding, FindingKind
from services.kernel.model.report import (
    AdvisoriesInfo,
    Coverage,
    EngineInfo,
    Report,
    ReportWarning,
    Summary,
    count_by_kind,
    count_by_severity,
    sort_key,
)
from services.kernel.model.severity import Severity
from services.scanner.inventory import Verdict, unpack_verdict
from services.scanner.records import LaterVerdict, Outcome, StoredReport
from services.scanner.state import State


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A report without its image and its inventory, most of it, which are not even read."""

    engine: EngineInfo
    advisories: AdvisoriesInfo
    findings: tuple[Finding, ...]
    summary: Summary
    warnings: tuple[ReportWarning, ...]
    scanned_at: str = ""


R = TypeVar("R", Report, Judgement)
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Report)
_JUDGEMENTS = msgspec.json.Decoder(Judgement)
_LEVEL = 3
_MAX_BYTES = 1 << 30
NOT_REEVALUATED = "NOT_REEVALUATED"
"""Newer advisories are there, and the image was not matched with them."""


def pack_report(report: Report) -> bytes:
    """Returns a report as it is stored."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(_ENCODER.encode(report))


def unpack_report(packed: bytes) -> Report:
    """Reads a stored report."""
    return _DECODER.decode(_decompress(packed))


def read_report(stored: StoredReport) -> Report:
    """Returns a report as it stands: as the scan made it, or as later advisories have it since."""
    return _as_it_stands(unpack_report(stored.content), stored)


def read_judgement(stored: StoredReport, unpack: Callable[[bytes], Verdict] = unpack_verdict) -> Judgement:
    """Returns what a report says, as it stands, without what it is about; `unpack` may remember verdicts."""
    return _as_it_stands(_JUDGEMENTS.decode(_decompress(stored.content)), stored, unpack)


def _as_it_stands(report: R, stored: StoredReport, unpack: Callable[[bytes], Verdict] = unpack_verdict) -> R:
    if stored.later is not None:
        report = _judged_again(report, stored.later, unpack)
    if stored.newest_at is not None and _is_older(report.advisories, stored.newest, stored.newest_at):
        advisories = msgspec.structs.replace(report.advisories, newer=stored.newest)
        report = msgspec.structs.replace(report, advisories=advisories)
    return _stale(report, stored.stale) if stored.stale else report


def verdict_of(report: Report) -> Verdict:
    """Returns what matching said, without what rules saw in content."""
    return Verdict(
        findings=tuple(finding for finding in report.findings if finding.package is not None),
        coverage=report.summary.coverage,
        coverage_reason=report.summary.coverage_reason,
        warnings=report.warnings,
    )


def with_verdict(report: R, verdict: Verdict) -> R:
    """Returns a report with another verdict on its packages; what rules saw in content stays."""
    seen: tuple[Finding, ...] = tuple(finding for finding in report.findings if finding.package is None)
    findings = tuple(sorted((*verdict.findings, *seen), key=sort_key)) if seen else verdict.findings
    kinds = {FindingKind(kind) for kind in report.summary.by_kind}
    summary = msgspec.structs.replace(
        report.summary,
        findings=len(findings),
        by_severity=count_by_severity(findings),
        by_kind=count_by_kind(findings, kinds),
        coverage=verdict.coverage,
        coverage_reason=verdict.coverage_reason,
    )
    return msgspec.structs.replace(report, findings=findings, summary=summary, warnings=verdict.warnings)


def _judged_again(report: R, later: LaterVerdict, unpack: Callable[[bytes], Verdict]) -> R:
    if later.content is not None:
        report = with_verdict(report, unpack(later.content))
    moment = later.judged_at.isoformat().replace("+00:00", "Z")
    return msgspec.structs.replace(report, advisories=later.advisories, scanned_at=moment)


def _decompress(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BYTES)


def _is_older(judged_by: AdvisoriesInfo, newest: str, newest_at: datetime) -> bool:
    if judged_by.version == newest:
        return False
    try:
        return datetime.fromisoformat(judged_by.built_at) < newest_at
    except (ValueError, TypeError):  # it does not tell of when it is
        return True


def _stale(report: R, why: str) -> R:
    """What newer advisories say is not known: that must not look as if they said nothing."""
    warning = ReportWarning(code=NOT_REEVALUATED, message=why)
    summary = report.summary
    if summary.coverage is Coverage.FULL:
        summary = msgspec.structs.replace(summary, coverage=Coverage.PARTIAL, coverage_reason=NOT_REEVALUATED)
    return msgspec.structs.replace(report, summary=summary, warnings=(*report.warnings, warning))


def addressed_report(report: Report, reference: str) -> bytes:
    """Returns the JSON of a report with `reference` as the name of its image."""
    image = msgspec.structs.replace(report.image, reference=reference)
    return _ENCODER.encode(msgspec.structs.replace(report, image=image))


def outcome_of(report: Report) -> Outcome:
    """Returns how a scan with this report ended."""
    return _outcome(verdict_of(report), report.summary.by_severity, report.advisories.version)


def outcome_of_verdict(verdict: Verdict, version: str) -> Outcome:
    """Returns how a scan ends that finds nothing but this."""
    return _outcome(verdict, count_by_severity(verdict.findings), version)


def _outcome(verdict: Verdict, by_severity: Mapping[str, int], version: str) -> Outcome:
    limiting = (warning.message for warning in verdict.warnings if warning.code == verdict.coverage_reason)
    return Outcome(
        state=State.COMPLETE,
        reason=verdict.coverage_reason,
        message=next(limiting, ""),
        coverage=verdict.coverage,
        findings={Severity(word): count for word, count in by_severity.items()},
        advisories_version=version,
    )
