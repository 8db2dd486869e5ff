"""Retention of the PostgreSQL bus: its messages lie in one partition a day, and whole days go."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel.clock import Clock
from services.kernel.db import OUTAGES, Pool
from services.kernel.partitions import ensure_partitions
from services.kernel.wakeup import wait

log = structlog.get_logger()

_HOUR_SECONDS = 3600.0
_RETRY_SECONDS = 30.0


async def keep_days(pool: Pool, clock: Clock, stopping: asyncio.Event, *, days: int) -> None:
    """Makes the days ahead and drops those older than `days`, once an hour until `stopping`.

    Like a topic's retention it asks nobody: a group that read nothing for so long misses what is dropped.
    """
    pause = 0.0
    while not await wait(stopping, pause):
        try:
            async with pool.acquire() as connection:
                await ensure_partitions(connection, "bus.message", today=clock.now().date(), keep_days=days)
        except OUTAGES as error:
            log.warning("retention.delayed", table="bus.message", error=type(error).__name__)
            pause = _RETRY_SECONDS
        else:
            pause = _HOUR_SECONDS
