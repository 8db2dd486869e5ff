"""A bus that counts what goes through it, and how far its groups lag behind."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime

import structlog
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client import Counter as CounterMetric

from services.kernel.bus.interface import DEAD_SUFFIX, Batch, Bus, Excerpt, Kept, Message, Place, Subscription
from services.kernel.errors import ServiceError
from services.kernel.wakeup import wait

log = structlog.get_logger()

_LOOK_SECONDS = 15.0


class MeteredBus(Bus):
    """Any bus, with metrics; groups are those that this process has joined."""

    def __init__(self, bus: Bus, registry: CollectorRegistry) -> None:
        self._bus = bus
        self._joined: set[tuple[str, str]] = set()
        self._published = CounterMetric(
            "drydock_bus_published", "Messages that the bus holds durably.", ("topic",), registry=registry
        )
        self._consumed = CounterMetric(
            "drydock_bus_consumed", "Records that a group has committed.", ("group", "topic"), registry=registry
        )
        self._buried = CounterMetric(
            "drydock_bus_buried", "Records of a topic that became dead letters.", ("topic",), registry=registry
        )
        self._lag = Gauge(
            "drydock_bus_lag", "Messages that a group has not committed.", ("group", "topic"), registry=registry
        )

    @property
    def compacts(self) -> bool:
        """As the bus within."""
        return self._bus.compacts

    async def publish(self, messages: Sequence[Message]) -> None:
        """Publishes, and counts what was confirmed."""
        await self._bus.publish(messages)
        for topic, count in Counter(message.topic for message in messages).items():
            self._published.labels(topic).inc(count)
            if topic.endswith(DEAD_SUFFIX):
                self._buried.labels(topic.removesuffix(DEAD_SUFFIX)).inc(count)

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group, whose lag is measured from now on."""
        self._joined.add((group, topic))
        return self._subscribe(group, topic)

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

    async def watch(self, stopping: asyncio.Event) -> None:
        """Measures the lag of every group joined, again and again; one that cannot be measured shows none."""
        while not await wait(stopping, _LOOK_SECONDS):
            await self.measure()

    async def measure(self) -> None:
        """Measures the lag of every group joined, once."""
        for group, topic in sorted(self._joined):
            try:
                lag = float(await self._bus.lag(group, topic))
            except ServiceError as error:
                log.info("bus.lag_unknown", group=group, topic=topic, reason=error.reason)
                lag = float("nan")  # a number of yesterday would look like one of now
            self._lag.labels(group, topic).set(lag)

    @asynccontextmanager
    async def _subscribe(self, group: str, topic: str) -> AsyncIterator[Subscription]:
        async with self._bus.subscribe(group=group, topic=topic) as subscription:
            yield _MeteredSubscription(subscription, self._consumed.labels(group, topic))


class _MeteredSubscription(Subscription):
    def __init__(self, subscription: Subscription, consumed: CounterMetric) -> None:
        self._subscription = subscription
        self._consumed = consumed

    async def next(self, wait_seconds: float) -> Batch | None:
        return await self._subscription.next(wait_seconds)

    async def commit(self, batch: Batch) -> None:
        await self._subscription.commit(batch)
        self._consumed.inc(len(batch.records))
