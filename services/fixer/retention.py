"""What the fixer keeps, and for how long: `docs/retention.md`."""

from __future__ import annotations

from collections.abc import Sequence

from services.fixer.settings import FixerSettings
from services.kernel.retention import Aging
from services.kernel.sql import load_queries

_Q = load_queries("services.fixer")


def agings(settings: FixerSettings) -> Sequence[Aging]:
    """Returns all that ages row by row."""
    return (Aging(table="task", days=settings.task_days, window=_Q["old_tasks"], forget=[_Q["forget_tasks"]]),)
