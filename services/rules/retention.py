"""Forgets image events that no bus can bring again, and runs that are long over."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.retention import every
from services.rules.runs.store import RunStore
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore

log = structlog.get_logger()

_RUNS = 5
"""Deleted in one transaction: each may have two hundred thousand tags."""


class Retention:
    """Deletes old rows of `rules.seen_event` and `rules.run`, a batch at a time."""

    def __init__(
        self, pool: Pool, store: RulesStore, runs: RunStore, clock: Clock, settings: RulesSettings
    ) -> None:
        self._pool = pool
        self._store = store
        self._runs = runs
        self._clock = clock
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Cleans at once and then at every interval, until `stopping`."""
        await every(self._settings.cleanup_interval_seconds, self.clean, stopping, name="rules")

    async def clean(self, stopping: asyncio.Event) -> int:
        """Deletes what is too old and returns how many rows that were."""
        before = self._clock.now() - timedelta(days=self._settings.seen_event_days)
        deleted = 0
        while not stopping.is_set():
            async with self._pool.acquire() as conn:
                count = await self._store.forget_events(conn, before, self._settings.cleanup_batch)
            deleted += count
            if count < self._settings.cleanup_batch:
                break
        if deleted:
            log.info("events.forgotten", schema="rules", count=deleted)
        await self._forget_runs(stopping)
        return deleted

    async def _forget_runs(self, stopping: asyncio.Event) -> None:
        before = self._clock.now() - timedelta(days=self._settings.run_days)
        count = _RUNS
        while count == _RUNS and not stopping.is_set():
            async with self._pool.acquire() as conn:
                count = await self._runs.forget_runs(conn, before, _RUNS)
