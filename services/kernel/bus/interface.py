"""What every bus offers: durable publishing, consumer groups, order inside a key."""

from __future__ import annotations

import dataclasses
import zlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from services.kernel import trace
from services.kernel.errors import Kind, ServiceError, invalid

IMAGE_EVENTS = "drydock.image.events.v1"
SCAN_REQUESTS = "drydock.scan.requests.v1"
BULK_REQUESTS = "drydock.scan.requests.bulk.v1"
"""Requests by the thousand: on a topic of their own, so that a push's request lies behind none of them."""
SCAN_EVENTS = "drydock.scan.events.v1"
FIX_EVENTS = "drydock.fix.events.v1"
"""Ends of fixes."""
FINDINGS = "drydock.findings.v1"
"""What became of each finding, for other programs: CloudEvents in binary mode (`docs/findings-stream.md`)."""
FINDINGS_STATE = "drydock.findings.state.v1"
"""Findings that are open, by uid: compacted, where the bus can do that."""
DEAD_SUFFIX = ".dead"
TOPICS = (IMAGE_EVENTS, SCAN_REQUESTS, BULK_REQUESTS, SCAN_EVENTS, FIX_EVENTS)
"""Each has a topic for its dead letters beside it, `<topic>.dead`."""
PARTITIONS = 8
"""Of every topic that we make: the most consumers of one group that can share it."""
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
"""Key and value of one message."""
BROWSE_BYTES = 8 * 1024 * 1024
"""Values that one look into a topic reads; the one that goes beyond is the last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published."""

    topic: str
    key: bytes
    """Messages of one key stay in order."""
    value: bytes
    """Empty in a tombstone: of a compacted topic, the key is no more."""
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A message as a consumer gets it."""

    message: Message
    partition: int
    position: str
    """Where it stands in its partition, in the bus's own words; for people and dead letters."""

    @property
    def traceparent(self) -> str:
        """The trace that the message belongs to, for what follows from this record; empty when it names none."""
        return trace.accept(self.message.headers.get(trace.HEADER, ""))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one partition, in order, never empty."""

    partition: int
    records: tuple[Record, ...]
    token: object
    """What the bus needs to commit it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a record of a topic stands."""

    partition: int
    position: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A record as it lies in its topic."""

    record: Record
    published_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Excerpt:
    """What a look into a topic found, by partition and then in order."""

    kept: tuple[Kept, ...]
    next: Place | None
    """Where to look on; None at the end of the topic."""


class Subscription(ABC):
    """One member of a consumer group on one topic. Not for concurrent use."""

    @abstractmethod
    async def next(self, wait_seconds: float) -> Batch | None:
        """Returns the next records of some partition that this member holds; None when there are none for so long.

        The same records come again until they are committed: after a rebalance, to another member.
        """

    @abstractmethod
    async def commit(self, batch: Batch) -> None:
        """Moves the group's position past the batch. Idempotent; never moves it back."""


class Bus(ABC):
    """A bus. At least once: consumers are idempotent by the event ids inside the messages."""

    @property
    @abstractmethod
    def compacts(self) -> bool:
        """Whether it can keep the newest message of each key for ever; where not, none is published for that."""

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all messages are durable.

        Raises:
            ServiceError: BUS_UNAVAILABLE (UNAVAILABLE); some of the messages may then have been published.
        """

    @abstractmethod
    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group, which starts at the oldest message kept; leaves it at exit.

        Raises:
            ServiceError: BUS_UNAVAILABLE, at entry, when the group cannot be joined now.
        """

    @abstractmethod
    async def browse(self, topic: str, *, start: Place | None = None, limit: int) -> Excerpt:
        """Reads what is kept, from `start` on (itself included; None: the oldest); moves no group's position.

        At most `limit` records, and fewer when they are large.

        Raises:
            ServiceError: INVALID_PLACE when this bus has no such place; BUS_UNAVAILABLE.
        """

    @abstractmethod
    async def tail(
        self, topic: str, *, after: Mapping[int, str], since: datetime | None = None, limit: int
    ) -> tuple[Kept, ...]:
        """Reads on, in every partition: behind the positions, by partition, where they are named.

        In the others from the moment that is named, else from the oldest. At most `limit` records, in order within
        each partition; none when there are none now. Moves no group's position.

        Raises:
            ServiceError: INVALID_PLACE when this bus has no such place; BUS_UNAVAILABLE.
        """

    @abstractmethod
    async def lag(self, group: str, topic: str) -> int:
        """Counts the messages that a group has not committed yet.

        Raises:
            ServiceError: BUS_UNAVAILABLE.
        """


def partition_of(key: bytes, partitions: int = PARTITIONS) -> int:
    """Returns the partition of a key in a topic of so many; the same on every bus."""
    return zlib.crc32(key) % partitions


def bus_unavailable() -> ServiceError:
    """The error of a bus that cannot take messages, or give any, now."""
    return ServiceError(
        Kind.UNAVAILABLE,
        "BUS_UNAVAILABLE",
        "The bus does not answer now.",
        hint="Try again in a few seconds.",
        retry_after=2.0,
    )


def invalid_place(place: Place) -> ServiceError:
    """The error of a place that the bus cannot have."""
    return invalid(
        "INVALID_PLACE",
        f"The bus has no place {place.partition}:{place.position[:40]!r}.",
        hint="Take partition and position from a listing.",
    )


def check_size(message: Message) -> None:
    """Refuses a message that no bus takes.

    Raises:
        ServiceError: MESSAGE_TOO_LARGE.
    """
    size = len(message.key) + len(message.value)
    if size > MAX_MESSAGE_BYTES:
        raise invalid(
            "MESSAGE_TOO_LARGE", f"A message for {message.topic} has {size} bytes of {MAX_MESSAGE_BYTES} allowed."
        )
