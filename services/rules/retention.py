"""What rules keeps, and for how long: `docs/retention.md`."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.retention import Aging
from services.kernel.sql import load_queries
from services.rules.settings import RulesSettings

_Q = load_queries("services.rules")


def agings(settings: RulesSettings) -> Sequence[Aging]:
    """Returns all that ages. A new table is a line here, with its queries in `sql/retention.sql`."""
    return (
        Aging(
            table="seen_event",
            days=settings.seen_event_days,
            window=_Q["old_events"],
            forget=[_Q["forget_events"]],
        ),
        Aging(  # with its repositories and tags
            table="run",
            days=settings.run_days,
            window=_Q["old_runs"],
            forget=[_Q["forget_runs"]],
        ),
    )
