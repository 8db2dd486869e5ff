"""Retention of the PostgreSQL bus: its messages lie in one partition a day, and whole days go."""

from __future__ import annotations

import asyncio

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.partitions import ensure_partitions
from services.kernel.retention import every

_TABLE = "bus.message"
_HOUR_SECONDS = 3600.0


async def keep_days(pool: Pool, clock: Clock, stopping: asyncio.Event, *, days: int) -> None:
    """Makes the days ahead and drops those older than `days`, once an hour until `stopping`.

    Like a topic's retention it asks nobody: a group that read nothing for so long misses what is dropped.
    """

    async def cut(_: asyncio.Event) -> None:
        async with pool.acquire() as connection:
            await ensure_partitions(connection, _TABLE, today=clock.now().date(), keep_days=days)

    await every(_HOUR_SECONDS, cut, stopping, name=_TABLE)
