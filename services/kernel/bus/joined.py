"""A bus that tells readiness which groups the process has joined."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

from services.kernel.bus.interface import Bus, Excerpt, Kept, Message, Place, Subscription
from services.kernel.run import Part, Readiness


class JoinedBus(Bus):
    """Any bus; a process that has lost a group is not ready."""

    def __init__(self, bus: Bus, readiness: Readiness) -> None:
        self._bus = bus
        self._readiness = readiness

    @property
    def compacts(self) -> bool:
        """As the bus within."""
        return self._bus.compacts

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publishes."""
        await self._bus.publish(messages)

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group; until it has, and after it was lost, the process is not ready."""
        part = self._readiness.add(f"bus {group} {topic}")
        part.set(False, "not joined")
        return self._subscribe(group, topic, part)

    async def browse(self, topic: str, *, start: Place | None = None, limit: int) -> Excerpt:
        """Looks into a topic."""
        return await self._bus.browse(topic, start=start, limit=limit)

    async def tail(
        self, topic: str, *, after: Mapping[int, str], since: datetime | None = None, limit: int
    ) -> tuple[Kept, ...]:
        """Reads on in a topic."""
        return await self._bus.tail(topic, after=after, since=since, limit=limit)

    async def lag(self, group: str, topic: str) -> int:
        """Counts what a group has not committed."""
        return await self._bus.lag(group, topic)

    @asynccontextmanager
    async def _subscribe(self, group: str, topic: str, part: Part) -> AsyncIterator[Subscription]:
        async with self._bus.subscribe(group=group, topic=topic) as subscription:
            part.set(True)
            try:
                yield subscription
            finally:
                part.set(False, "left")
