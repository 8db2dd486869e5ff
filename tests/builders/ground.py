"""What a service stands on, for tests that start one service alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.kernel.bus.postgres import PostgresBus
from services.kernel.clock import SystemClock
from services.kernel.ground import Ground
from services.kernel.ids import RandomIds
from services.kernel.run import Process
from services.kernel.wakeup import Wakeups
from tests.databases import migrated_pool


@asynccontextmanager
async def a_ground(url: str, *schemas: tuple[str, str]) -> AsyncIterator[Ground]:
    """Opens database and PostgreSQL bus with these schemas and a process; `end` it inside."""
    stopping, ids = asyncio.Event(), RandomIds()
    async with (
        migrated_pool(url, ("bus", "services.kernel.bus"), *schemas) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        process, wakeups = Process(tasks, stopping), Wakeups(url)
        process.start("wakeups", wakeups.run(stopping))
        try:
            yield Ground(
                process=process,
                url=url,
                pool=pool,
                bus=PostgresBus(pool, url, wakeups, ids),
                wakeups=wakeups,
                clock=SystemClock(),
                ids=ids,
                registry=CollectorRegistry(),
            )
        finally:
            stopping.set()


async def end(ground: Ground) -> None:
    """Stops a process as a signal does: inside the services' blocks, whose tasks need what these opened."""
    ground.process.stopping.set()
    await ground.process.drain(10)
