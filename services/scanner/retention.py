"""What the scanner keeps, and for how long: `docs/retention.md`."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.retention import Aging
from services.kernel.sql import load_queries
from services.scanner.settings import ScannerSettings

_Q = load_queries("services.scanner")


def agings(settings: ScannerSettings) -> Sequence[Aging]:
    """Returns all that ages. A new table is a line here, with its queries in `sql/retention.sql`."""
    return (
        Aging(
            table="seen_event",
            days=settings.seen_event_days,
            window=_Q["old_events"],
            forget=[_Q["forget_events"]],
        ),
        Aging(
            table="task",
            days=settings.report_days,
            window=_Q["old_tasks"],
            forget=[_Q["hold_runs_of_old_tasks"], _Q["hold_tags_of_old_tasks"], _Q["forget_tasks"]],
        ),
        Aging(  # with their reports, after the tasks that need them
            table="scan",
            days=settings.report_days,
            window=_Q["old_scans"],
            forget=[_Q["hold_old_scans"], _Q["forget_scans"]],
        ),
        Aging(
            table="layer_analysis",
            days=settings.analysis_days,
            window=_Q["old_analyses"],
            forget=[_Q["forget_analyses"]],
        ),
        Aging(
            table="removal",
            days=settings.removal_days,
            window=_Q["old_removals"],
            forget=[_Q["forget_removals"]],
        ),
    )
