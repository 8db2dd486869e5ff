"""Makes the days' partitions of receipts, and deletes what is too old."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.partitions import ensure_partitions
from services.kernel.retention import every
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore

log = structlog.get_logger()


class Retention:
    """Keeps `notifier.delivery` and `notifier.receipt` within their days."""

    def __init__(self, pool: Pool, store: NotifierStore, clock: Clock, settings: NotifierSettings) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Cleans at once and then at every interval, until `stopping`."""
        await every(self._settings.cleanup_interval_seconds, self.clean, stopping, name="notifier")

    async def clean(self, stopping: asyncio.Event) -> int:
        """Brings partitions up to date and returns how many ended deliveries were deleted."""
        now, days = self._clock.now(), self._settings.receipt_days
        async with self._pool.acquire() as conn:
            await ensure_partitions(conn, "notifier.receipt", today=now.date(), keep_days=days)
        deleted = 0
        while not stopping.is_set():
            async with self._pool.acquire() as conn:
                count = await self._store.forget_deliveries(
                    conn, now - timedelta(days=days), self._settings.cleanup_batch
                )
            deleted += count
            if count < self._settings.cleanup_batch:
                break
        if deleted:
            log.info("deliveries.forgotten", count=deleted)
        return deleted
