"""A bus that can be told to fail or to hang, in front of a real one."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from services.kernel.bus.interface import Bus, Excerpt, Kept, Message, Place, Subscription, bus_unavailable


class UnreliableBus(Bus):
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.down = False
        self.hanging = False

    @property
    def compacts(self) -> bool:
        return self._bus.compacts

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.down:
            raise bus_unavailable()
        if self.hanging:
            await asyncio.Event().wait()
        await self._bus.publish(messages)

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        return self._bus.subscribe(group=group, topic=topic)

    async def browse(self, topic: str, *, start: Place | None = None, limit: int) -> Excerpt:
        return await self._bus.browse(topic, start=start, limit=limit)

    async def tail(
        self, topic: str, *, after: Mapping[int, str], since: datetime | None = None, limit: int
    ) -> tuple[Kept, ...]:
        return await self._bus.tail(topic, after=after, since=since, limit=limit)

    async def lag(self, group: str, topic: str) -> int:
        return await self._bus.lag(group, topic)
