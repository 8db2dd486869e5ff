"""What every bus offers: durable publishing, consumer groups, order inside a key."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager

IMAGE_EVENTS = "drydock.image.events.v1"
SCAN_REQUESTS = "drydock.scan.requests.v1"
SCAN_EVENTS = "drydock.scan.events.v1"
DEAD_SUFFIX = ".dead"
TOPICS = (IMAGE_EVENTS, SCAN_REQUESTS, SCAN_EVENTS)
PARTITIONS = 8
"""Of every topic: the most consumers of one group that can share it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is published."""

    topic: str
    key: bytes
    """Messages of one key stay in order."""
    value: bytes
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A message as a consumer gets it."""

    message: Message
    partition: int
    position: str
    """Where it stands in its partition, in the bus's own words; for people and dead letters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Records of one partition, in order, never empty."""

    partition: int
    records: tuple[Record, ...]
    token: object
    """What the bus needs to commit it."""


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

    @abstractmethod
    async def publish(self, messages: Sequence[Message]) -> None:
        """Returns when all messages are durable.

        Raises:
            ServiceError: BUS_UNAVAILABLE (UNAVAILABLE); some of the messages may then have been published.
        """

    @abstractmethod
    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group, which starts at the oldest message kept; leaves it at exit."""
