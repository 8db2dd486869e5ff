"""What every way of telling offers: one attempt, and what became of it."""

from __future__ import annotations

import dataclasses
import enum
from abc import ABC, abstractmethod


class Verdict(enum.Enum):
    """What became of one attempt."""

    DELIVERED = "DELIVERED"
    TRY_AGAIN = "TRY_AGAIN"
    """It may pass by itself."""
    GIVE_UP = "GIVE_UP"
    """The target refuses it for good."""
    UNKNOWN = "UNKNOWN"
    """The worker died between sending and writing: it may have arrived."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What is delivered, and where to."""

    delivery_id: str
    """The same over all attempts."""
    event_type: str
    url: str = dataclasses.field(repr=False)
    """Often a secret: opened for the attempt, and told to nobody."""
    body: bytes = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one attempt, as its receipt will say."""

    verdict: Verdict
    reason: str = ""
    """Machine-readable; empty when delivered."""
    message: str = ""
    """The reason as a sentence."""
    http_status: int | None = None
    excerpt: str = ""
    """Beginning of the answer's body, as far as it is text, without what it repeats of the URL."""
    retry_after: float | None = None
    """Seconds that the target asked for; None when it asked for nothing."""


class Channel(ABC):
    """A way of telling. Sends once: retries are the worker's."""

    @abstractmethod
    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt within a deadline of its own; failures of the other side are outcomes, not errors."""
