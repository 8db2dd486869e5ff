"""Reconciliation: takes up walks that are due, on its own time and on demand, and lets none be lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.ids import Ids
from services.kernel.model.access import RegistryAccess
from services.kernel.outbox import Outbox
from services.kernel.wakeup import Wakeups
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore
from services.rules.sync.metrics import End, WalkMetrics
from services.rules.sync.store import Place, Progress, SyncStore, Walk
from services.rules.sync.walk import OpenCatalog, Walker, WalkLost, WalkPaused, WalkStopped

log = structlog.get_logger()

_CHANNEL = "drydock_rules_sync"
_FIRST_SECONDS = 5.0
_LONGEST_SECONDS = 900.0
_PATIENCE = 6
"""How often a walk is put off at the same page of the catalogue, before it begins anew: pages may expire."""


class Reconciler:
    """Walks over the registries of synced instances. Any number of processes share the work, an instance each."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RulesStore,
        sync: SyncStore,
        outbox: Outbox,
        access: Callable[[str], Awaitable[RegistryAccess]],
        open_catalog: OpenCatalog,
        clock: Clock,
        ids: Ids,
        metrics: WalkMetrics,
        settings: RulesSettings,
    ) -> None:
        """Takes what it works with; `access` tells how the registry of an instance is reached."""
        self._pool = pool
        self._store = store
        self._sync = sync
        self._outbox = outbox
        self._access = access
        self._open_catalog = open_catalog
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._settings = settings

    async def run(self, wakeups: Wakeups, stopping: asyncio.Event) -> None:
        """Walks until `stopping`, when walks under way are left where they are."""

        async def work(walk: Walk) -> None:
            await self.reconcile(walk, stopping)

        most = self._settings.sync_walks
        await work_claims(self.claim, work, wakeups=wakeups, channel=_CHANNEL, most=most, stopping=stopping)

    async def claim(self, limit: int) -> tuple[Walk, ...]:
        """Takes a walk that is due."""
        async with self._pool.acquire() as conn:
            walk = await self._sync.claim(conn, self._settings.sync_lease_seconds) if limit else None
        return (walk,) if walk else ()

    async def reconcile(self, walk: Walk, stopping: asyncio.Event) -> End:
        """Walks on, and writes down how it ended, for the time being."""
        with structlog.contextvars.bound_contextvars(instance_id=walk.instance_id, walk=walk.number):
            log.info("walk.started", place=walk.place.repository, attempts=walk.attempts)
            try:
                end = await self._walk(walk, stopping)
            except WalkLost:
                end = End.LOST
            except asyncio.CancelledError:
                await self._release(walk)
                raise
            self._metrics.ended(end)
            log.info("walk.left", end=end.value)
        return end

    async def _walk(self, walk: Walk, stopping: asyncio.Event) -> End:
        walker = Walker(
            walk,
            pool=self._pool,
            store=self._store,
            sync=self._sync,
            outbox=self._outbox,
            clock=self._clock,
            ids=self._ids,
            metrics=self._metrics,
            settings=self._settings,
            stopping=stopping,
        )
        try:
            async with self._open_catalog(await self._access(walk.instance_id)) as catalog:
                await walker.over(catalog)
        except WalkStopped:
            await self._release(walk)
            return End.STOPPED
        except WalkPaused:
            async with self._pool.acquire() as conn, conn.transaction():
                await self._sync.pause(conn, walk)
                await self._sync.announce(conn)
            return End.PAUSED
        except ServiceError as error:
            return await self._postpone(walk, error.reason, error.sentence(), error.retry_after)
        return await self._end(walk, whole=walker.whole)

    async def _end(self, walk: Walk, *, whole: bool) -> End:
        async with self._pool.acquire() as conn:
            lasted = await self._sync.end(conn, walk, self._settings.sync_interval_seconds)
        if lasted is None:
            raise WalkLost
        self._metrics.finished(self._clock.now(), lasted)
        return End.COMPLETE if whole else End.PARTIAL

    async def _postpone(self, walk: Walk, reason: str, message: str, retry_after: float | None) -> End:
        log.warning("walk.postponed", reason=reason, message=message)
        seconds = min(max(_FIRST_SECONDS * 2.0 ** min(walk.attempts, 30), retry_after or 0.0), _LONGEST_SECONDS)
        async with self._pool.acquire() as conn, conn.transaction():
            if walk.attempts >= _PATIENCE and not walk.place.catalogued:
                await self._sync.advance(conn, walk, Place(), Progress(), self._settings.sync_lease_seconds)
            if not await self._sync.postpone(conn, walk, seconds, reason, message):
                raise WalkLost
        return End.POSTPONED

    async def _release(self, walk: Walk) -> None:
        """Gives a walk back at once; where that fails, its lease runs out."""
        try:
            async with asyncio.timeout(2), self._pool.acquire() as conn:
                await self._sync.release(conn, walk)
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("lease.left", error=type(error).__name__)
