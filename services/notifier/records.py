"""Rows of the notifier, as values."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from services.notifier.api import TargetKind
from services.notifier.events import News


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SealedTarget:
    """A target with its URL as it is kept."""

    target_id: str
    name: str
    kind: TargetKind
    sealed_url: bytes = dataclasses.field(repr=False)
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

    target_id: str
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
    sealed_url: bytes = dataclasses.field(repr=False)
    body: bytes = dataclasses.field(repr=False)


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
