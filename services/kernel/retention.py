"""What is old goes: each service declares what ages, and for how long; one loop deletes it a little at a time."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter

from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.wakeup import wait

log = structlog.get_logger()

_RETRY_SECONDS = 30.0
_BEGINNING = datetime.min.replace(tzinfo=UTC)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Aging:
    """Rows of one table that go some days after a moment that they name, unless something needs them still."""

    table: str
    """Name in metrics and logs, without its schema."""
    days: int
    window: str
    """Query: of the rows after $1 and before $2, the moment of the $3rd one, or of the last; no row is NULL."""
    forget: Sequence[str]
    """Statements of one transaction, each on the rows after $1 and not after $2. The last one deletes those that
    nothing needs, as its only result; those before it lock whatever could begin to need one meanwhile."""


class Retention:
    """Deletes what is too old, in batches that are a transaction each. Of all copies of a service one does it.

    Rows that something needs are passed over: one round looks at each row once, so that many of them cost no more.
    """

    def __init__(
        self,
        schema: str,
        agings: Sequence[Aging],
        *,
        pool: Pool,
        clock: Clock,
        batch: int,
        registry: CollectorRegistry,
    ) -> None:
        """Goes through `agings` in their order: what needs something comes before what is needed."""
        self._schema = schema
        self._agings = agings
        self._pool = pool
        self._clock = clock
        self._batch = batch
        self._forgotten = Counter(
            f"drydock_{schema}_forgotten_rows", "Rows deleted for their age.", ("table",), registry=registry
        )
        for aging in agings:
            self._forgotten.labels(aging.table)

    async def clean(self, stopping: asyncio.Event) -> int:
        """Goes through all tables once and returns how many rows went; ends early when `stopping`."""
        return sum([await self._age(aging, stopping) for aging in self._agings])

    async def _age(self, aging: Aging, stopping: asyncio.Event) -> int:
        before = self._clock.now() - timedelta(days=aging.days)
        after: datetime | None = _BEGINNING
        total = 0
        while after is not None and not stopping.is_set():
            after, deleted = await self._forget(aging, after, before)
            self._forgotten.labels(aging.table).inc(deleted)
            total += deleted
        if total:
            log.info("rows.forgotten", schema=self._schema, table=aging.table, count=total)
        return total

    async def _forget(self, aging: Aging, after: datetime, before: datetime) -> tuple[datetime | None, int]:
        """Deletes one batch; returns up to which moment all were looked at, None at the end, and how many went."""
        lock = f"retention:{self._schema}"
        async with self._pool.acquire() as db, db.transaction():
            if not await db.fetchval("SELECT pg_try_advisory_xact_lock(hashtext($1))", lock):
                return None, 0  # another copy is at it
            upto: datetime | None = await db.fetchval(aging.window, after, before, self._batch)
            if upto is None:
                return None, 0
            status = ""
            for statement in aging.forget:
                status = await db.execute(statement, after, upto)
            return upto, int(status.rpartition(" ")[2])


async def every(
    interval_seconds: float,
    job: Callable[[asyncio.Event], Awaitable[object]],
    stopping: asyncio.Event,
    *,
    name: str,
) -> None:
    """Does the job at once and then at every interval, until `stopping`, which the job gets to end early.

    After an outage of the database it is done again in 30 s, or at the next interval when that comes first.
    """
    pause = 0.0
    while not await wait(stopping, pause):
        pause = interval_seconds
        try:
            await job(stopping)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("retention.delayed", job=name, error=type(error).__name__)
            pause = min(_RETRY_SECONDS, interval_seconds)
