"""Reports as bytes: the JSON of `docs/report.schema.json`, compressed for storage."""

from __future__ import annotations

import msgspec
import zstandard

from services.kernel.model.report import Report
from services.kernel.model.severity import Severity
from services.scanner.records import Outcome
from services.scanner.state import State

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Report)
_LEVEL = 3
_MAX_BYTES = 1 << 30


def pack_report(report: Report) -> bytes:
    """Returns a report as it is stored."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(_ENCODER.encode(report))


def unpack_report(packed: bytes) -> Report:
    """Reads a stored report."""
    return _DECODER.decode(zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BYTES))


def addressed_report(report: Report, reference: str) -> bytes:
    """Returns the JSON of a report with `reference` as the name of its image."""
    image = msgspec.structs.replace(report.image, reference=reference)
    return _ENCODER.encode(msgspec.structs.replace(report, image=image))


def outcome_of(report: Report) -> Outcome:
    """Returns how a scan with this report ended."""
    summary = report.summary
    limiting = (warning.message for warning in report.warnings if warning.code == summary.coverage_reason)
    return Outcome(
        state=State.COMPLETE,
        reason=summary.coverage_reason,
        message=next(limiting, ""),
        coverage=summary.coverage,
        findings={Severity(word): count for word, count in summary.by_severity.items()},
        advisories_version=report.advisories.version,
    )
