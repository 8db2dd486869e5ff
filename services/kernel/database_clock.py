"""The database's time: what processes write for each other to compare comes from one clock (decision 0017)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import structlog

from services.kernel.db import Pool, is_outage
from services.kernel.outages import through_outages
from services.kernel.run import Process
from services.kernel.wakeup import wait

log = structlog.get_logger()

_LOOK_SECONDS = 30.0
_ASK_SECONDS = 5.0
_SURE_SECONDS = 0.5


class DatabaseClock:
    """Goes on by monotonic time from the last answer: no setting of this machine's clock moves it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._at = 0.0
        self._moment = datetime(1970, 1, 1, tzinfo=UTC)

    def now(self) -> datetime:
        """Returns the present moment, aware, in UTC."""
        return self._moment + timedelta(seconds=time.monotonic() - self._at)

    def monotonic(self) -> float:
        """Returns seconds that never go back; only differences mean anything."""
        return time.monotonic()

    async def look(self) -> bool:
        """Asks the database; returns False for an answer that took too long to tell the time."""
        sent = time.monotonic()
        async with asyncio.timeout(_ASK_SECONDS):
            moment: datetime = await self._pool.fetchval("SELECT clock_timestamp()")
        if (took := time.monotonic() - sent) > _SURE_SECONDS and self._at:
            return False
        self._moment, self._at = moment, sent + took / 2
        return True

    async def keep(self, stopping: asyncio.Event) -> None:
        """Looks again and again, until `stopping`: two machines count their seconds differently."""
        while not await wait(stopping, _LOOK_SECONDS):
            try:
                if not await self.look():
                    log.info("clock.unsure")
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("clock.kept", error=type(error).__name__)


@asynccontextmanager
async def open_clock(process: Process, pool: Pool) -> AsyncIterator[DatabaseClock]:
    """Yields a clock that is set, however long the database lets us wait, and kept until the process stops."""
    clock = DatabaseClock(pool)
    await through_outages(clock.look, process.stopping)
    process.start("clock", clock.keep(process.stopping))
    yield clock
