"""What the notifier offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from services.kernel.model.page import Page

MAX_CHECKED_TARGETS = 100


class TargetKind(enum.Enum):
    """How a target is told."""

    HTTP = "HTTP"
    HTTPS = "HTTPS"
    DINGTALK = "DINGTALK"
    """A custom robot, in a chat."""
    SLACK = "SLACK"
    """An incoming webhook of Slack's, or of what takes the same."""
    EMAIL = "EMAIL"


class Format(enum.Enum):
    """What is posted to a target of kind HTTP or HTTPS."""

    JSON = "JSON"
    CLOUDEVENTS_BINARY = "CLOUDEVENTS_BINARY"
    """The same JSON, with the attributes of CloudEvents 1.0 as headers."""
    CLOUDEVENTS_STRUCTURED = "CLOUDEVENTS_STRUCTURED"
    """A CloudEvent in JSON, with that JSON as its data."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Somebody to be told."""

    target_id: str
    name: str
    kind: TargetKind
    url: str = dataclasses.field(repr=False)
    """Often a secret; kept sealed."""
    format: Format = Format.JSON
    ca_certificates: str = ""
    """PEM: what the target's certificate must lead to, in place of what the system trusts."""
    has_secret: bool = False
    """The secret itself is told to nobody."""
    old_secret_until: datetime | None = None
    """How long the secret before goes on signing beside it."""
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewTarget:
    """A target to be saved."""

    name: str
    kind: TargetKind
    url: str = dataclasses.field(repr=False)
    secret: str = dataclasses.field(default="", repr=False)
    """Signs what is sent, or logs in; empty for none."""
    format: Format = Format.JSON
    ca_certificates: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TargetChange:
    """What of a target changes; None leaves it."""

    url: str | None = dataclasses.field(default=None, repr=False)
    secret: str | None = dataclasses.field(default=None, repr=False)
    """Empty takes it away."""
    overlap: timedelta | None = None
    """How long the secret before goes on signing beside the new one; a day when None."""
    format: Format | None = None
    ca_certificates: str | None = None
    """Empty for what the system trusts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialAnswer:
    """What became of a test."""

    delivered: bool
    reason: str
    """Machine-readable; empty when delivered."""
    message: str
    """The reason as a sentence."""
    status: int | None
    """Of the answer, HTTP's or SMTP's; None where there was none."""
    answer: str
    """The beginning of what the other side said, without what it repeats of the URL."""
    duration: timedelta
    delivery_id: str
    """What the other side was told as the id."""


class NotifierApi(Protocol):
    """Targets. Errors: TARGET_NOT_EXIST, TARGET_ALREADY_EXIST, ADDRESS_*, PORT_REFUSED, INVALID_*."""

    async def create_target(self, new: NewTarget) -> Target:
        """Saves a target; the URL is checked, and its host looked up, not called."""
        ...

    async def update_target(self, target: str, change: TargetChange) -> Target:
        """Changes a target, given by id or name; what is under way to it goes to the new place from now on."""
        ...

    async def send_test_notification(self, target: str) -> TrialAnswer:
        """Tells a target, by id or name, that this is a test: one attempt, which leaves no delivery.

        Raises:
            ServiceError: TARGET_NOT_EXIST; ROBOT_RESTING when a chat robot may not be called just now.
        """
        ...

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        """Lists targets by name."""
        ...

    async def delete_target(self, target: str) -> None:
        """Deletes a target by id or name; deliveries under way to it end as CANCELLED.

        Rules and tasks may still name it: nothing is delivered to it any more, and nothing else changes.
        """
        ...

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id, at most `MAX_CHECKED_TARGETS`, is that of a target.

        Raises:
            ServiceError: TARGET_NOT_EXIST (INVALID_ARGUMENT, field `target_ids`) naming the first that is none;
                TOO_MANY_TARGETS.
        """
        ...
