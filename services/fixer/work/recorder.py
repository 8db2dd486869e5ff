"""What became of an attempt, written under its lease; whoever lost it writes nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from services.fixer.api import FixState
from services.fixer.ends import Ends
from services.fixer.order import FixResult
from services.fixer.records import FixRecord, Lease
from services.fixer.store import FixerStore
from services.fixer.work.progress import LeaseLost, insist
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError


class Recorder:
    """Writes ends and pauses, through outages of the database. Every method may raise LeaseLost."""

    def __init__(self, pool: Pool, store: FixerStore, ends: Ends, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._ends = ends
        self._clock = clock

    async def succeed(self, lease: Lease, result: FixResult) -> FixState:
        """Ends a fix, whole or in part; returns which."""
        return (await self._end(lease, lambda conn, task: self._ends.succeed(conn, task, result))).state

    async def fail(self, lease: Lease, failure: ServiceError) -> None:
        """Ends a fix that failed."""
        await self._end(lease, lambda conn, task: self._ends.fail(conn, task, failure))

    async def reverted(self, lease: Lease) -> None:
        """Ends the putting back of a tag."""
        now = self._clock.now()
        await self._end(lease, lambda conn, task: self._store.end_revert(conn, task.task_id, now))

    async def not_reverted(self, lease: Lease, failure: ServiceError) -> None:
        """Ends the putting back of a tag that could not be put back: the fix stands as it did."""
        now = self._clock.now()
        await self._end(
            lease,
            lambda conn, task: self._store.end_revert(
                conn, task.task_id, now, reason=failure.reason, message=failure.sentence()
            ),
        )

    async def postpone(self, lease: Lease, failure: ServiceError, seconds: float, *, counted: bool = True) -> None:
        """Lets somebody try again later."""
        kept = await insist(
            self._pool,
            lambda conn: self._store.postpone(
                conn,
                lease,
                seconds,
                reason=failure.reason,
                message=failure.message,
                hint=failure.hint,
                counted=counted,
            ),
        )
        if not kept:
            raise LeaseLost(lease.task_id)

    async def _end(
        self, lease: Lease, write: Callable[[Connection, FixRecord], Awaitable[FixRecord]]
    ) -> FixRecord:
        async def once(conn: Connection) -> FixRecord:
            task = await self._store.lock_leased(conn, lease)
            if task is None:
                raise LeaseLost(lease.task_id)
            return await write(conn, task)

        return await insist(self._pool, once)
