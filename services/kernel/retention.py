"""What forgets old rows works again and again, whatever it forgets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.kernel.db import is_outage
from services.kernel.wakeup import wait

log = structlog.get_logger()

_RETRY_SECONDS = 30.0


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
