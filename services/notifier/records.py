"""Rows of the notifier, as values."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from services.notifier.api import Format, TargetKind
from services.notifier.events import News


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SealedTarget:
    """A target as it is kept."""

    target_id: str
    name: str
    kind: TargetKind
    sealed_url: bytes = dataclasses.field(repr=False)
    sealed_secret: bytes | None = dataclasses.field(default=None, repr=False)
    sealed_old_secret: bytes | None = dataclasses.field(default=None, repr=False)
    old_secret_until: datetime | None = None
    format: Format = Format.JSON
    ca_certificates: str = ""
    robot: bytes | None = None
    """The chat robot that it writes to; None where nothing is merged."""
    slow: bool = False
    """Its last attempt took long."""
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """A delivery to be saved."""

    target_id: str
    event_id: str
    delivery_id: str
    news: News
    body: bytes = dataclasses.field(repr=False)
    traceparent: str
    window_seconds: int
    """Length of the window whose end it waits for; 0: it is due at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A delivery under lease."""

    target: SealedTarget
    event_id: str
    delivery_id: str
    attempt: int
    """Number of the attempt that the lease is for, from 1."""
    fence: int
    """Whoever holds an older one writes nothing."""
    created_at: datetime
    lost: bool
    """Whether the attempt before this one ended with no word: its worker died."""
    traceparent: str
    """Trace of what is told; empty where there is none."""
    event_type: str
    body: bytes = dataclasses.field(repr=False)

    @property
    def target_id(self) -> str:
        """Whom it is for."""
        return self.target.target_id


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What became of one attempt."""

    delivery_id: str
    target_id: str
    event_id: str
    attempt: int
    outcome: str
    """Name of a verdict."""
    reason: str
    message: str
    http_status: int | None
    milliseconds: int
    excerpt: str
    created_at: datetime
