"""What the notifier keeps, and for how long: `docs/retention.md`."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.partitions import ensure_partitions
from services.kernel.retention import Aging
from services.kernel.sql import load_queries
from services.notifier.settings import NotifierSettings

_Q = load_queries("services.notifier")


def agings(settings: NotifierSettings) -> Sequence[Aging]:
    """Returns all that ages row by row. A new table is a line here, with its queries in `sql/retention.sql`."""
    return (
        Aging(
            table="delivery",
            days=settings.receipt_days,
            window=_Q["old_deliveries"],
            forget=[_Q["forget_deliveries"]],
        ),
        Aging(
            table="inquiry",
            days=settings.receipt_days,
            window=_Q["old_inquiries"],
            forget=[_Q["forget_inquiries"]],
        ),
        Aging(
            table="event_record",
            days=settings.receipt_days,
            window=_Q["old_event_records"],
            forget=[_Q["forget_event_records"]],
        ),
    )


async def keep_receipts(pool: Pool, clock: Clock, settings: NotifierSettings, stopping: asyncio.Event) -> None:
    """Makes the partitions of receipts for the days ahead, and drops those that are too old."""
    del stopping
    async with pool.acquire() as conn:
        await ensure_partitions(
            conn, "notifier.receipt", today=clock.now().date(), keep_days=settings.receipt_days
        )
