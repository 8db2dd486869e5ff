"""What every way of telling offers: one attempt, and what became of it."""

from __future__ import annotations

import dataclasses
import enum
from abc import ABC, abstractmethod

from services.notifier.api import Format, TargetKind


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
    """What is delivered, where to, and how."""

    delivery_id: str
    """The same over all attempts."""
    event_type: str
    kind: TargetKind = TargetKind.HTTP
    url: str = dataclasses.field(repr=False)
    """Often a secret: opened for the attempt, and told to nobody."""
    secrets: tuple[str, ...] = dataclasses.field(default=(), repr=False)
    """Those that sign or log in, the newest first."""
    format: Format = Format.JSON
    ca_certificates: str = ""
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
    blames_content: bool = False
    """What was refused is the text: where several were merged, it may be that of one alone."""


class Channel(ABC):
    """A way of telling. Sends once: retries are the worker's."""

    @abstractmethod
    async def send(self, parcel: Parcel) -> Outcome:
        """Makes one attempt within a deadline of its own; failures of the other side are outcomes, not errors."""
