"""What a fix tells while it runs, written to its row: through outages of the database, and under its lease."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from services.fixer.order import Pushed, Stage
from services.fixer.records import FixRecord, Lease
from services.fixer.refusals import called_off
from services.fixer.store import FixerStore
from services.kernel.db import Connection, Pool, is_outage

log = structlog.get_logger()

T = TypeVar("T")
_LOOK_SECONDS = 1.0
_LONGEST_MESSAGE = 500


class LeaseLost(Exception):
    """Somebody else has the task now: whatever is left to write is theirs."""


class RowProgress:
    """Progress of one attempt."""

    def __init__(self, pool: Pool, store: FixerStore, lease: Lease, task: FixRecord) -> None:
        self._pool = pool
        self._store = store
        self._lease = lease
        self._pushed = task.pushed

    async def stage(self, stage: Stage, message: str, *, done: int = 0, of: int = 0) -> None:
        """Notes how far the fix is.

        Raises:
            LeaseLost: nothing may be written any more.
            FixFailure: CANCELLED, while no tag can have been written: at the entry of PUSHING for the last time.
        """
        self._heed(
            await insist(
                self._pool,
                lambda conn: self._store.note_stage(conn, self._lease, stage, _cut(message), done=done, total=of),
            )
        )

    async def about_to_push(self, pushed: Pushed) -> None:
        """Notes what is about to be written, and returns once that is durable. Raises as `stage`."""
        self._heed(await insist(self._pool, lambda conn: self._store.note_push(conn, self._lease, pushed)))
        self._pushed = pushed

    async def pushed_before(self) -> Pushed | None:
        """Returns what an earlier attempt, or this one, was about to write."""
        return self._pushed

    def _heed(self, cancel_asked: bool | None) -> None:
        if cancel_asked is None:
            raise LeaseLost(self._lease.task_id)
        if cancel_asked:
            raise called_off()


async def insist(pool: Pool, write: Callable[[Connection], Awaitable[T]]) -> T:
    """Writes in a transaction, through short outages of the database, while the heartbeat holds the lease."""
    while True:
        try:
            async with pool.acquire() as conn, conn.transaction():
                return await write(conn)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("fix.delayed", error=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)


def _cut(message: str) -> str:
    return message.replace("\0", "")[:_LONGEST_MESSAGE]
