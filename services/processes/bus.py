"""The bus of a process, and whether the process has joined it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from services.kernel.bus.interface import Bus, Message, Subscription
from services.kernel.bus.postgres import PostgresBus
from services.kernel.bus.retention import keep_days
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import Ids
from services.kernel.run import Process, Readiness
from services.kernel.settings import KernelSettings
from services.kernel.wakeup import Wakeups


@asynccontextmanager
async def open_bus(
    process: Process,
    pool: Pool,
    wakeups: Wakeups,
    *,
    settings: KernelSettings,
    clock: Clock,
    ids: Ids,
) -> AsyncIterator[Bus]:
    """Opens the bus that the settings name: the one over PostgreSQL."""
    bus = PostgresBus(pool, settings.database_url, wakeups, ids)
    process.start("bus retention", keep_days(pool, clock, process.stopping, days=settings.bus_retention_days))
    yield WatchedBus(bus, process.readiness)


class WatchedBus(Bus):
    """A bus that tells readiness which groups the process has joined."""

    def __init__(self, bus: Bus, readiness: Readiness) -> None:
        self._bus = bus
        self._readiness = readiness

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publishes."""
        await self._bus.publish(messages)

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group; until it has, and after it was lost, the process is not ready."""
        part = self._readiness.add(f"bus {group} {topic}")
        part.set(False, "not joined")

        @asynccontextmanager
        async def joined() -> AsyncIterator[Subscription]:
            async with self._bus.subscribe(group=group, topic=topic) as subscription:
                part.set(True)
                try:
                    yield subscription
                finally:
                    part.set(False, "left")

        return joined()
