"""Re-evaluation's work in worker processes: what it needs is imported there alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from services.scanner.records import StoredReport
    from services.scanner.reevaluate.records import Comparison, Rematch, RematchCase


def rematch_remotely(case: RematchCase) -> Rematch:
    """Runs `rematch`."""
    from services.scanner.reevaluate.rematch import rematch  # noqa: PLC0415

    return rematch(case)


def compare_remotely(pairs: tuple[tuple[StoredReport, bytes], ...]) -> tuple[Comparison, ...]:
    """Runs `compare_stored` for each pair of a report and a later verdict."""
    from services.scanner.reevaluate.rematch import compare_stored  # noqa: PLC0415

    return tuple(compare_stored(report, verdict) for report, verdict in pairs)
