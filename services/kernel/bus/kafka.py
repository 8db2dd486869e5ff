"""The bus over Kafka, by aiokafka: the promises of the interface on any cluster from version 2.4 on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.kernel.bus.interface import (
    BROWSE_BYTES,
    Bus,
    Excerpt,
    Kept,
    Message,
    Place,
    Subscription,
    bus_unavailable,
    invalid_place,
)
from services.kernel.bus.kafka_consumer import GROUP_PREFIX, Membership, close, join, to_record
from services.kernel.bus.kafka_producer import DurableProducer
from services.kernel.bus.kafka_settings import KafkaSettings, client_arguments
from services.kernel.bus.kafka_topics import Topic, count_partitions, ensure_topics, our_topics

_LOOK_SECONDS = 20.0
_FETCH_MS = 2000
_LONG_POLL_MS = 20  # a look knows where the end is: it need not wait there for more


@asynccontextmanager
async def open_kafka_bus(
    servers: str,
    settings: KafkaSettings,
    *,
    keep_days: int,
    topics: Sequence[Topic] | None = None,
    membership: Membership | None = None,
) -> AsyncIterator[KafkaBus]:
    """Waits for the brokers, makes sure of the topics, and closes the bus at exit.

    Args:
        servers: `HOST:PORT`, several with commas between them.
        settings: security, replication and patience.
        keep_days: retention of topics that are made.
        topics: all that will be used; those of the interface when None.
        membership: how consumers live in their groups; as the settings say when None.

    Raises:
        ServiceError: what `ensure_topics` and `client_arguments` raise.
    """
    arguments = client_arguments(servers, settings)
    await ensure_topics(arguments, our_topics() if topics is None else topics, settings, keep_days=keep_days)
    producer = DurableProducer(arguments, publish_seconds=settings.publish_seconds)
    try:
        yield KafkaBus(arguments, producer, membership or Membership(session_seconds=settings.session_seconds))
    finally:
        await producer.close()


class KafkaBus(Bus):
    """Topics of a Kafka cluster."""

    def __init__(self, arguments: dict[str, Any], producer: DurableProducer, membership: Membership) -> None:
        self._arguments = arguments
        self._producer = producer
        self._membership = membership

    @property
    def compacts(self) -> bool:
        """Always: the broker does."""
        return True

    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when every replica in sync holds the messages."""
        if messages:
            await self._producer.publish(messages)

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group, with connections of its own."""
        return join(self._arguments, self._membership, group=group, topic=topic)

    async def browse(self, topic: str, *, start: Place | None = None, limit: int) -> Excerpt:
        """Reads without a group, partition after partition."""
        first, offset = (0, 0) if start is None else (start.partition, _offset(start))
        async with self._looking(topic) as (consumer, partitions):
            if start is not None and not 0 <= first < len(partitions):
                raise invalid_place(start)
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            at = {place: max(begins[place], offset if place.partition == first else 0) for place in partitions}
            left = [place for place in partitions[first:] if at[place] < ends[place]]
            consumer.assign(left)
            for place in left:
                consumer.seek(place, at[place])
            found: list[Kept] = []
            size = 0
            for place in left:
                async for record in _records(consumer, place, at[place], ends[place]):
                    if len(found) >= limit or size >= BROWSE_BYTES:
                        rest = Place(partition=place.partition, position=str(record.offset))
                        return Excerpt(kept=tuple(found), next=rest)
                    found.append(_kept(record))
                    size += len(record.value or b"")
            return Excerpt(kept=tuple(found), next=None)

    async def tail(
        self, topic: str, *, after: Mapping[int, str], since: datetime | None = None, limit: int
    ) -> tuple[Kept, ...]:
        """Reads without a group, partition after partition."""
        async with self._looking(topic) as (consumer, partitions):
            if not set(after) <= {place.partition for place in partitions}:
                number = min(set(after) - {place.partition for place in partitions})
                raise invalid_place(Place(partition=number, position=after[number]))
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            at = dict(begins)
            if since is not None:
                moment = max(int(since.timestamp() * 1000), 0)
                found = await consumer.offsets_for_times(dict.fromkeys(partitions, moment))
                at = {place: found[place].offset if found[place] else ends[place] for place in partitions}
            for place in partitions:
                if place.partition in after:
                    said = Place(partition=place.partition, position=after[place.partition])
                    at[place] = max(_offset(said) + 1, begins[place])
            left = [place for place in partitions if at[place] < ends[place]]
            consumer.assign(left)
            for place in left:
                consumer.seek(place, at[place])
            kept: list[Kept] = []
            for place in left:
                async for record in _records(consumer, place, at[place], ends[place]):
                    kept.append(_kept(record))
                    if len(kept) >= limit:
                        return tuple(kept)
            return tuple(kept)

    async def lag(self, group: str, topic: str) -> int:
        """Compares the ends of the partitions with what the group has committed."""
        async with self._looking(topic, group=GROUP_PREFIX + group) as (consumer, partitions):
            begins = await consumer.beginning_offsets(partitions)
            ends = await consumer.end_offsets(partitions)
            lag = 0
            for place in partitions:
                committed = await consumer.committed(place)
                lag += max(ends[place] - max(begins[place], committed or 0), 0)
            return lag

    @asynccontextmanager
    async def _looking(
        self, topic: str, *, group: str | None = None
    ) -> AsyncIterator[tuple[AIOKafkaConsumer, list[TopicPartition]]]:
        """Opens a consumer that is no member of any group, for one look; yields the topic's partitions, too."""
        consumer = AIOKafkaConsumer(
            **self._arguments, group_id=group, enable_auto_commit=False, fetch_max_wait_ms=_LONG_POLL_MS
        )
        try:
            async with asyncio.timeout(_LOOK_SECONDS):
                count = await count_partitions(self._arguments, topic)
                await consumer.start()
                await asyncio.sleep(0)  # its tasks begin: the library cannot stop one that never did
                yield consumer, [TopicPartition(topic, number) for number in range(count)]
        except (KafkaError, TimeoutError, OSError) as error:
            raise bus_unavailable() from error
        finally:
            await close(consumer)


async def _records(
    consumer: AIOKafkaConsumer, place: TopicPartition, at: int, end: int
) -> AsyncIterator[ConsumerRecord[bytes, bytes]]:
    """Yields the records of a partition from one offset to before another; some may be missing there."""
    while at < end:
        fetched = (await consumer.getmany(place, timeout_ms=_FETCH_MS)).get(place, ())
        for record in fetched:
            if record.offset >= end:
                return
            at = record.offset + 1
            yield record
        if not fetched:  # what is left are marks of the broker's own
            return


def _kept(record: ConsumerRecord[bytes, bytes]) -> Kept:
    try:
        published_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (OverflowError, ValueError, OSError):  # a producer may write any number there
        published_at = datetime.fromtimestamp(0, UTC)
    return Kept(record=to_record(record), published_at=published_at)


def _offset(place: Place) -> int:
    if not place.position.isascii() or not place.position.isdecimal() or len(place.position) > 18:
        raise invalid_place(place)
    return int(place.position)
