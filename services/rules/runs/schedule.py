"""Cron expressions: five fields in UTC, as Debian's cron reads them (crontab(5))."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from services.kernel.errors import ServiceError, invalid

_FIELDS = 5
_MAX_CHARACTERS = 120


def next_run(schedule: str, after: datetime) -> datetime | None:
    """Returns the first moment after `after` that the expression names; None for the empty one.

    Raises:
        ServiceError: INVALID_SCHEDULE, also for one that names no moment at all, such as the 30th of February.
    """
    if not schedule:
        return None
    if len(schedule) > _MAX_CHARACTERS or not schedule.isascii() or len(schedule.split()) != _FIELDS:
        raise _invalid(schedule, "it must have five fields of plain characters")
    try:
        # The library also takes a time zone; ours is UTC, which has no hour twice.
        return next(CronSim(schedule, after.astimezone(UTC)))
    except (CronSimError, ValueError, AssertionError) as error:
        raise _invalid(schedule, str(error)[:80] or "it cannot be read") from error
    except (StopIteration, OverflowError):
        raise _invalid(schedule, "it names no moment of the next fifty years") from None


def _invalid(schedule: str, why: str) -> ServiceError:
    return invalid(
        "INVALID_SCHEDULE",
        f"The schedule {schedule[:80]!r} cannot be used: {why}.",
        field="schedule",
        hint="Write minute, hour, day of month, month and day of week in UTC, as in '30 2 * * MON'.",
    )
