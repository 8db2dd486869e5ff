"""The runner: leases runs, keeps the leases alive, and puts off or ends what cannot go on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.reasons import Reason, Retry, ScanFailure
from services.kernel.wakeup import Wakeups, wait_any
from services.registry.catalog import open_catalog
from services.registry.limits import SourceSettings
from services.rules.api import RunState
from services.rules.metrics import RulesMetrics, RunFate
from services.rules.runs.asking import Asking, RunLost
from services.rules.runs.records import Ended, LeasedRun
from services.rules.runs.store import RunStore
from services.rules.settings import RulesSettings

log = structlog.get_logger()

Access = Callable[[str], Awaitable[RegistryAccess]]
"""How to reach an instance's registry: asked when the work is done, kept nowhere."""
_CHANNEL = "drydock_rules_runs"
_LOOK_SECONDS = 1.0


class Runner:
    """Works on a bounded number of runs at once, for as long as the process lives."""

    def __init__(
        self,
        *,
        owner: str,
        pool: Pool,
        store: RunStore,
        asking: Asking,
        access: Access,
        source: SourceSettings,
        wakeups: Wakeups,
        clock: Clock,
        settings: RulesSettings,
        metrics: RulesMetrics,
        random_source: random.Random,
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._store = store
        self._asking = asking
        self._access = access
        self._source = source
        self._wakeups = wakeups
        self._clock = clock
        self._settings = settings
        self._metrics = metrics
        self._random = random_source
        self._running: set[asyncio.Task[None]] = set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping`, then gives back what is not finished."""
        async with self._wakeups.subscribe(_CHANNEL) as news, asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                news.clear()
                run = await self._claim() if len(self._running) < self._settings.concurrent_runs else None
                if run is None:
                    await wait_any((news, stopping), _LOOK_SECONDS)
                    continue
                task = tasks.create_task(self._hold(run), name=f"run {run.run_id}")
                self._running.add(task)
                task.add_done_callback(self._running.discard)
                task.add_done_callback(lambda _: news.set())
            # Every step is written: another copy, or the next start, goes on where this one stops.
            for task in self._running:
                task.cancel()

    async def once(self) -> bool:
        """Works on the run that is due longest until it rests; returns whether there was one."""
        run = await self._claim()
        if run is not None:
            await self._hold(run)
        return run is not None

    async def _claim(self) -> LeasedRun | None:
        try:
            async with self._pool.acquire() as conn:
                return await self._store.claim(conn, self._owner, self._settings.run_lease_seconds)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("runner.interrupted", error=type(error).__name__)
            return None

    async def _hold(self, run: LeasedRun) -> None:
        """Works on one run while the heartbeat holds its lease."""
        with structlog.contextvars.bound_contextvars(run_id=run.run_id, rule_id=run.rule_id):
            try:
                async with asyncio.TaskGroup() as group:
                    beating = group.create_task(self._beat(run), name=f"heartbeat {run.run_id}")
                    try:
                        await self._ask(run)
                    except asyncio.CancelledError:
                        await self._give_back(run)
                        raise
                    beating.cancel()
            except* RunLost:
                log.info("run.lost", fence=run.fence)

    async def _beat(self, run: LeasedRun) -> None:
        while True:
            await asyncio.sleep(self._settings.run_lease_seconds / 3)
            try:
                async with self._pool.acquire() as conn:
                    if await self._store.hold(conn, run, self._settings.run_lease_seconds) is None:
                        raise RunLost(run.run_id)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("run.delayed", error=type(error).__name__)

    async def _ask(self, run: LeasedRun) -> None:
        log.info("run.asking", attempt=run.attempts + 1)
        try:
            access = await self._access(run.instance_id)
            async with open_catalog(self._source, access) as catalog:
                await self._asking.work(run, catalog)
            self._metrics.run(RunFate.ASKED)
            log.info("run.asked")
        except RunLost:
            raise
        except ServiceError as error:
            await self._stopped(run, error)
        except Exception as error:
            if is_outage(error):
                log.warning("run.interrupted", error=type(error).__name__)
                await self._give_back(run)
                return
            log.error("run.broke", exc_info=error)  # one run that cannot be asked for is no dead runner
            await self._stopped(run, _broke())

    async def _stopped(self, run: LeasedRun, error: ServiceError) -> None:
        """Puts a run off, or ends its asking."""
        passing = isinstance(error, ScanFailure) and error.why.retry is Retry.AUTOMATIC
        again = passing and run.attempts + 1 < self._settings.run_attempts
        self._metrics.run(RunFate.PUT_OFF if again else RunFate.FAILED)
        log.warning("run.stopped", reason=error.reason, message=error.message, again=again)
        async with self._writing() as conn:
            if again:
                seconds = self._pause(run.attempts, error.retry_after)
                await self._store.postpone(conn, run, seconds, error.reason, error.sentence())
            elif await self._store.hold(conn, run, self._settings.run_lease_seconds) is not None:
                ended = Ended(state=RunState.FAILED, reason=error.reason, message=error.sentence())
                await self._store.finish(conn, run.run_id, ended, self._clock.now())

    async def _give_back(self, run: LeasedRun) -> None:
        async with self._writing() as conn:
            await self._store.release(conn, run)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[Connection]:
        """A short transaction; where it fails, the lease runs out and somebody begins anew."""
        try:
            async with asyncio.timeout(5), self._pool.acquire() as conn, conn.transaction():
                yield conn
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("run.left", error=type(error).__name__)

    def _pause(self, attempts: int, retry_after: float | None) -> float:
        longest = self._settings.run_retry_longest_seconds
        backoff = min(self._settings.run_retry_first_seconds * 2.0**attempts, longest)
        return min(max(backoff * self._random.uniform(0.5, 1.0), retry_after or 0.0), longest)


def _broke() -> ScanFailure:
    return ScanFailure(
        Reason.INTERNAL,
        "Asking for the run's images stopped because of a fault of ours.",
        hint="The log of rules has the details under this run's id.",
    )
