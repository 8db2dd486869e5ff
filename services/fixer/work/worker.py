"""The worker: leases tasks, keeps the leases alive, and turns whatever happens into an end or another try."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import structlog

from services.fixer.api import FixState
from services.fixer.ends import result_to_revert
from services.fixer.metrics import End, FixerMetrics
from services.fixer.order import FixWork
from services.fixer.records import FixRecord, Lease
from services.fixer.refusals import called_off
from services.fixer.settings import FixerSettings
from services.fixer.store import FixerStore
from services.fixer.work.failures import Setback, given_up, setback_of, too_slow
from services.fixer.work.progress import LeaseLost, RowProgress
from services.fixer.work.recorder import Recorder
from services.kernel import trace
from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.wakeup import Wakeups

log = structlog.get_logger()

_WORK = "drydock_fixer_work"
_CANCELS = "drydock_fixer_cancels"
_GIVE_BACK_SECONDS = 2.0
_BEATS = 3
"""Heartbeats in the time of a lease."""

Held = tuple[Lease, FixRecord]


class _CalledOff(Exception):
    """Somebody called the task off, and no tag may have been written."""


class Worker:
    """Works on a bounded number of tasks at once, for as long as the process lives."""

    def __init__(
        self,
        *,
        owner: str,
        pool: Pool,
        store: FixerStore,
        recorder: Recorder,
        work: FixWork,
        wakeups: Wakeups,
        settings: FixerSettings,
        metrics: FixerMetrics,
        clock: Clock,
        random_source: random.Random,
    ) -> None:
        """`owner` is the name in the leases: unique over all workers."""
        self._owner = owner
        self._pool = pool
        self._store = store
        self._recorder = recorder
        self._work = work
        self._wakeups = wakeups
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._random = random_source

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping`, then finishes what it has; cancelling gives unfinished leases back at once."""
        await work_claims(
            self.claim,
            self.hold,
            wakeups=self._wakeups,
            channel=_WORK,
            most=self._settings.concurrent_fixes,
            stopping=stopping,
        )

    async def claim(self, most: int) -> Sequence[Held]:
        """Leases one task that is due, where `most` allows any."""
        if most < 1:
            return ()
        async with self._pool.acquire() as conn, conn.transaction():
            held = await self._store.claim(
                conn,
                owner=self._owner,
                lease_seconds=self._settings.lease_seconds,
                per_instance=self._settings.concurrent_per_instance,
            )
        return (held,) if held is not None else ()

    async def hold(self, held: Held) -> None:
        """Works on one task while the heartbeat holds its lease."""
        lease, task = held
        trace.bind(trace.follow(task.traceparent))
        with structlog.contextvars.bound_contextvars(task_id=lease.task_id, digest=task.digest):
            started = self._clock.monotonic()
            self._metrics.began()
            end = End.INTERRUPTED
            log.info("fix.started", attempt=lease.attempts, reverting=task.state is FixState.REVERTING)
            try:
                end = await self._held(lease, task)
            except* LeaseLost:
                log.warning("lease.lost", fence=lease.fence)
            finally:
                seconds = self._clock.monotonic() - started
                self._metrics.ended(end, seconds)
                log.info("fix.finished", end=end.value, seconds=round(seconds, 3))

    async def _held(self, lease: Lease, task: FixRecord) -> End:
        end = End.INTERRUPTED
        try:
            async with asyncio.TaskGroup() as group:
                beating = group.create_task(self._beat(lease), name=f"heartbeat-{lease.task_id}")
                try:
                    end = await self._attempt(lease, task)
                except asyncio.CancelledError:
                    if not beating.done():  # the process stops; else somebody called it off, or has it now
                        await self._give_back(lease)
                    raise
                beating.cancel()
        except* _CalledOff:
            if end is End.INTERRUPTED:  # it was not over before it heard of that
                await self._recorder.fail(lease, called_off())
                end = End.CANCELLED
        return end

    async def _beat(self, lease: Lease) -> None:
        """Keeps the lease until cancelled; while the database is away it keeps trying.

        Raises:
            LeaseLost: somebody else has it now.
            _CalledOff: the task is called off.
        """
        async with self._wakeups.subscribe(_CANCELS) as news:
            while True:
                news.clear()
                try:
                    async with self._pool.acquire() as conn:
                        asked = await self._store.heartbeat(conn, lease, self._settings.lease_seconds)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("lease.delayed", error=type(error).__name__)
                else:
                    if asked is None:
                        raise LeaseLost(lease.task_id)
                    if asked:
                        raise _CalledOff(lease.task_id)
                try:
                    async with asyncio.timeout(self._settings.lease_seconds / _BEATS):
                        await news.wait()
                except TimeoutError:
                    continue

    async def _give_back(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(_GIVE_BACK_SECONDS), self._pool.acquire() as conn:
                await self._store.release(conn, lease)
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("lease.left", error=type(error).__name__)  # it runs out by itself

    async def _attempt(self, lease: Lease, task: FixRecord) -> End:
        deadline = asyncio.timeout(self._settings.fix_seconds)
        try:
            if lease.attempts > self._settings.attempts:
                raise given_up(lease.attempts - 1)
            async with deadline:
                return await self._do(lease, task)
        except LeaseLost:
            raise
        except Exception as error:
            if deadline.expired() and isinstance(error, TimeoutError):
                return await self._set_back(lease, task, setback_of(too_slow(self._settings.fix_seconds)))
            if is_outage(error):
                # The lease runs out, and then somebody goes on.
                log.warning("fix.interrupted", error=type(error).__name__)
                return End.INTERRUPTED
            if not isinstance(error, ServiceError):  # one fix that cannot be done is no dead worker
                log.error("fix.broke", exc_info=error)
            return await self._set_back(lease, task, setback_of(error))

    async def _do(self, lease: Lease, task: FixRecord) -> End:
        if task.state is FixState.REVERTING:
            return await self._revert(lease, task)
        if task.cancel_asked:
            raise called_off()
        progress = RowProgress(self._pool, self._store, lease, task)
        result = await self._work.run(task.order, progress)
        return End((await self._recorder.succeed(lease, result)).value)

    async def _revert(self, lease: Lease, task: FixRecord) -> End:
        result = result_to_revert(task)
        assert result is not None, "nothing else is taken for reverting"  # noqa: S101 - for the type checker
        await self._work.revert(task.order, result)
        await self._recorder.reverted(lease)
        return End.REVERTED

    async def _set_back(self, lease: Lease, task: FixRecord, setback: Setback) -> End:
        failure = setback.failure
        age = (self._clock.now() - task.created_at).total_seconds()
        reverting = task.state is FixState.REVERTING
        uncounted = setback.away and not reverting and age < self._settings.patience_seconds
        again = setback.again and (uncounted or lease.attempts < self._settings.attempts)
        log.warning("fix.failed", reason=failure.reason, message=failure.message, again=again)
        if again:
            pause = self._pause(1 if uncounted else lease.attempts, failure.retry_after)
            await self._recorder.postpone(lease, failure, pause, counted=not uncounted)
            return End.RETRYING
        if reverting:
            await self._recorder.not_reverted(lease, failure)
            return End.REVERT_FAILED
        await self._recorder.fail(lease, failure)
        return End.CANCELLED if failure.reason == called_off().reason else End.FAILED

    def _pause(self, attempts: int, retry_after: float | None) -> float:
        longest = self._settings.retry_longest_seconds
        backoff = min(self._settings.retry_first_seconds * 2.0 ** (attempts - 1), longest)
        return min(max(backoff * self._random.uniform(0.5, 1.0), retry_after or 0.0), longest)
