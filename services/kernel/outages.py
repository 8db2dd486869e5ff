"""Waits out outages of the database, where a process has nothing else to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from services.kernel.db import is_outage
from services.kernel.errors import ServiceError
from services.kernel.wakeup import wait

log = structlog.get_logger()

_AGAIN_SECONDS: Final = 0.5


async def through_outages(work: Callable[[], Awaitable[object]], stopping: asyncio.Event) -> bool:
    """Does idempotent work, from its beginning after every outage; False when told to stop before it was done.

    Raises:
        Exception: whatever the work raises that waiting does not mend.
    """
    while not stopping.is_set():
        try:
            await work()
        except Exception as error:
            if isinstance(error, ServiceError) or not is_outage(error):
                raise
            log.info("database.awaited", error=type(error).__name__)
            await wait(stopping, _AGAIN_SECONDS)
        else:
            return True
    return False
