"""The consuming half of the Kafka bus: one member of a group, whose batches count once they are committed."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from services.kernel.bus.interface import Batch, Message, Record, Subscription, bus_unavailable
from services.kernel.wakeup import wait

log = structlog.get_logger()

GROUP_PREFIX = "drydock."
"""Of our groups' names in a cluster that others use, too."""
_BATCH = 200
_JOIN_SECONDS = 60.0
_COMMIT_SECONDS = 10.0
_CLOSE_SECONDS = 10.0
_LONG_POLL_MS = 100
"""What a fetch waits for records, and so the longest that some may lie at the broker unasked for.

The library has one fetch under way, which leaves out partitions whose last records nobody has taken yet.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """How long a member may be silent, and at work."""

    session_seconds: float
    """Without a heartbeat for so long, its partitions go to others."""
    poll_seconds: float = 7 * 24 * 3600.0
    """Without asking for records for so long, it leaves. Long: heartbeats tell whether the process lives, every
    await of a handler has a deadline, and a handler that waits out an outage is no reason to move its work."""
    yield_seconds: float = 10.0
    """How long a rebalance waits for the batch in hand to be committed."""


@asynccontextmanager
async def join(
    arguments: Mapping[str, Any], membership: Membership, *, group: str, topic: str
) -> AsyncIterator[Subscription]:
    """Joins a group and leaves it at exit.

    Raises:
        ServiceError: BUS_UNAVAILABLE when the group cannot be joined within a minute.
    """
    session = membership.session_seconds
    rebalance = session + membership.yield_seconds
    consumer = AIOKafkaConsumer(
        **arguments,
        group_id=GROUP_PREFIX + group,
        fetch_max_wait_ms=_LONG_POLL_MS,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=int(session * 1000),
        heartbeat_interval_ms=int(session * 1000 / 5),
        rebalance_timeout_ms=int(rebalance * 1000),
        request_timeout_ms=int((rebalance + 5) * 1000),  # joining takes as long as the others' batches
        max_poll_interval_ms=int(membership.poll_seconds * 1000),
    )
    member = _Member(consumer, topic, membership.yield_seconds)
    consumer.subscribe([topic], listener=member)
    try:
        with _troubles():
            async with asyncio.timeout(_JOIN_SECONDS):
                await consumer.start()
        yield member
    finally:
        member.let_go()
        await close(consumer)


async def close(consumer: AIOKafkaConsumer) -> None:
    """Stops a consumer within ten seconds.

    In a task of its own: in the middle of a rebalance or an outage the library's tasks swallow being cancelled,
    so that its `stop` waits for ever, or let it escape, so that `stop` ends before everything is closed.
    """
    stopping = asyncio.create_task(consumer.stop(), name="close consumer")
    await asyncio.wait([stopping], timeout=_CLOSE_SECONDS)
    if not stopping.done():
        log.warning("consumer.slow_close")
        stopping.cancel()
        await asyncio.wait([stopping], timeout=_CLOSE_SECONDS)
    if stopping.cancelled() or stopping.exception() is not None:
        await consumer._client.close()


@contextmanager
def _troubles() -> Iterator[None]:
    """Turns what goes wrong in the library into BUS_UNAVAILABLE; whoever consumes then joins anew."""
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise bus_unavailable() from error  # nobody has cancelled us: it is one of the library's tasks that was
    except (KafkaError, TimeoutError, OSError) as error:
        raise bus_unavailable() from error


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    after: int
    assignment: int


class _Member(Subscription, ConsumerRebalanceListener):  # type: ignore[misc]  # the library has no types
    def __init__(self, consumer: AIOKafkaConsumer, topic: str, yield_seconds: float) -> None:
        self._consumer = consumer
        self._topic = topic
        self._yield_seconds = yield_seconds
        self._assignment = 0
        self._ready: dict[int, Batch] = {}
        self._committed: dict[int, int] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def next(self, wait_seconds: float) -> Batch | None:
        self.let_go()
        if not self._ready:
            with _troubles():
                fetched = await self._consumer.getmany(timeout_ms=int(wait_seconds * 1000), max_records=_BATCH)
            for place, records in fetched.items():
                self._ready[place.partition] = self._batch(place.partition, records)
        if not self._ready:
            return None
        # To the end of the row: it stays there until it is committed, and comes again after the others.
        partition = next(iter(self._ready))
        batch = self._ready[partition] = self._ready.pop(partition)
        self._idle.clear()
        return batch

    async def commit(self, batch: Batch) -> None:
        place = batch.token
        if not isinstance(place, _Place):
            raise TypeError("a batch of another bus")
        try:
            if place.assignment != self._assignment:
                self._tell_lost(batch)
            elif place.after > self._committed.get(batch.partition, 0):
                await self._commit(batch, place.after)
        finally:
            if self._ready.get(batch.partition) is batch:
                del self._ready[batch.partition]
            self.let_go()

    async def _commit(self, batch: Batch, after: int) -> None:
        with _troubles():
            try:
                async with asyncio.timeout(_COMMIT_SECONDS):
                    await self._consumer.commit({TopicPartition(self._topic, batch.partition): after})
            except (CommitFailedError, IllegalStateError):
                self._tell_lost(batch)
            else:
                self._committed[batch.partition] = after

    def let_go(self) -> None:
        """Says that no batch is in hand: partitions may move."""
        self._idle.set()

    async def on_partitions_revoked(self, revoked: Collection[TopicPartition]) -> None:
        """Lets the batch in hand be committed before its partition moves: then nobody does its work again."""
        self._ready.clear()
        if revoked and not await wait(self._idle, self._yield_seconds):
            log.warning("batch.outlasted", topic=self._topic)
        self._assignment += 1
        self._committed.clear()

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Tells what this member reads now."""
        partitions = sorted(place.partition for place in assigned)
        log.info("partitions.assigned", topic=self._topic, partitions=partitions)

    def _tell_lost(self, batch: Batch) -> None:
        """The partition has moved meanwhile: whoever has it gets the records again, and knows them."""
        log.warning("batch.lost", topic=self._topic, partition=batch.partition, count=len(batch.records))

    def _batch(self, partition: int, records: list[ConsumerRecord[bytes, bytes]]) -> Batch:
        return Batch(
            partition=partition,
            records=tuple(to_record(record) for record in records),
            token=_Place(records[-1].offset + 1, self._assignment),
        )


def to_record(record: ConsumerRecord[bytes, bytes]) -> Record:
    """Reads what a broker gave; others may write to our topics, so that nothing is taken for granted."""
    return Record(
        message=Message(
            topic=record.topic,
            key=record.key or b"",
            value=record.value or b"",
            headers={name: (value or b"").decode(errors="replace") for name, value in record.headers},
        ),
        partition=record.partition,
        position=str(record.offset),
    )
