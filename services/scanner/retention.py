"""Forgets image events that no registry tells again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.retention import every
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore

_BATCH = 5000
_INTERVAL_SECONDS = 3600.0


class Retention:
    """Deletes old rows of `scanner.seen_event`, a batch at a time."""

    def __init__(self, pool: Pool, store: ScannerStore, clock: Clock, settings: ScannerSettings) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Cleans at once and then every hour, until `stopping`."""
        await every(_INTERVAL_SECONDS, self.clean, stopping, name="scanner")

    async def clean(self, stopping: asyncio.Event) -> int:
        """Deletes what is too old and returns how many rows that were."""
        before = self._clock.now() - timedelta(days=self._settings.seen_event_days)
        deleted, count = 0, _BATCH
        while count == _BATCH and not stopping.is_set():
            async with self._pool.acquire() as db:
                count = await self._store.forget_events(db, before, _BATCH)
            deleted += count
        return deleted
