"""Purge: results of what is gone go too, once the grace period is over, where nothing that is left needs them."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError
from services.kernel.retention import every
from services.rules.api import RulesApi
from services.scanner.marks import mark_gone_images
from services.scanner.tags.metrics import SyncMetrics
from services.scanner.tags.records import Removal
from services.scanner.tags.store import SyncStore

log = structlog.get_logger()

_BATCH = 500
"""Tasks deleted in one transaction."""
_INTERVAL_SECONDS = 30.0
_AGAIN_SECONDS = 600.0
"""Until a removal is looked at again whose tasks are still open, or whose instance is not synced now."""
_STEP_SECONDS = 60.0


class Purge:
    """Works removals off. Any number of processes share the work, a removal each."""

    def __init__(
        self, *, pool: Pool, store: SyncStore, rules: RulesApi, clock: Clock, metrics: SyncMetrics
    ) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._clock = clock
        self._metrics = metrics

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks for what is due again and again, until `stopping`."""
        await every(_INTERVAL_SECONDS, self.purge, stopping, name="scanner removals")

    async def purge(self, stopping: asyncio.Event) -> int:
        """Works off all removals that are due; returns how many ended."""
        ended = 0
        while not stopping.is_set():
            async with self._pool.acquire() as db:
                removal = await self._store.claim_removal(db, _AGAIN_SECONDS)
            if removal is None:
                break
            if await self._may_go(removal):
                ended += await self._purge(removal, stopping)
        return ended

    async def _may_go(self, removal: Removal) -> bool:
        """Tells whether results may go now: whoever switches a sync off keeps what was not purged yet."""
        try:
            async with asyncio.timeout(_STEP_SECONDS):
                return (await self._rules.get_instance(removal.subject.instance_id)).sync
        except ServiceError as error:
            if error.reason == "INSTANCE_NOT_EXIST":
                return True
            log.info("purge.delayed", reason=error.reason, removal_id=removal.removal_id)
            return False

    async def _purge(self, removal: Removal, stopping: asyncio.Event) -> bool:
        count = _BATCH
        while count == _BATCH:
            if stopping.is_set():
                return False
            async with self._pool.acquire() as db, db.transaction():
                count, reports = await self._step(db, removal)
            self._metrics.purged(tasks=count, reports=reports)
        async with self._pool.acquire() as db:
            if await self._store.has_open_tasks(db, removal):
                return False
            await self._store.end_removal(db, removal, self._clock.now())
        log.info("removal.ended", removal_id=removal.removal_id, cause=removal.cause.value)
        return True

    async def _step(self, db: Connection, removal: Removal) -> tuple[int, int]:
        """Deletes some tasks, and scans and reports that none is left for; returns how many tasks and reports."""
        purged = await self._store.purge_tasks(db, removal, _BATCH)
        tasks, reports = len(purged), 0
        subject = removal.subject
        await mark_gone_images(
            db,
            instance_id=subject.instance_id,
            repo_id=subject.repo_id,
            namespace=subject.namespace,
            repository=subject.repository,
            digests=[digest for _, digest in purged],
        )
        left = sorted({scan_id for scan_id, _ in purged})
        while left:
            # Only then whether anybody needs them: a task that joins one waits for us, and makes a new one.
            held = await self._store.lock_ended_scans(db, left)
            unneeded = await self._store.unneeded_scans(db, held)
            parts, count = await self._store.drop_scans(db, unneeded)
            reports += count
            left = sorted(set(parts))
        await self._store.count_removal(db, removal, tasks, reports)
        return tasks, reports
