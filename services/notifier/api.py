"""What the notifier offers to other services: the only file of it that they may import."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Protocol

from services.kernel.model.page import Page
from services.kernel.model.severity import Severity
from services.rules.api import Scope

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


class Occasion(enum.Enum):
    """When a target is told."""

    COMPLETED = "COMPLETED"
    """Any scan is complete, that of a clean image too."""
    FINDINGS = "FINDINGS"
    """A complete scan found something that is severe enough, or nothing could be judged."""
    MALICIOUS_SAMPLE = "MALICIOUS_SAMPLE"
    """A complete scan found a malicious sample."""
    FAILED = "FAILED"
    """A scan failed; not one that somebody called off."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """What a target is told of, and when. Its scope narrows what its rules say; it never widens it."""

    occasions: frozenset[Occasion] = frozenset({Occasion.FINDINGS, Occasion.FAILED})
    min_severity: Severity = Severity.UNKNOWN
    """Less severe findings are no occasion."""
    new_only: bool = False
    """Whether findings and samples that the scan before had are no occasion."""
    instances: tuple[str, ...] = ()
    """Only images of these, by id; all when empty."""
    namespaces: tuple[str, ...] = ()
    """Only images of these; all when empty."""
    repositories: tuple[str, ...] = ()
    """Only images of these, as `NAMESPACE/REPO`; all when empty."""
    tag_pattern: str = ""
    """RE2 for the whole tag; all when empty, images without a tag too."""
    window_seconds: int = 0
    """Length of the windows whose news are told together; 0: each at once."""


class DeliveryState(enum.Enum):
    """Where a delivery stands."""

    HELD = "HELD"
    """It waits for the end of its window."""
    PENDING = "PENDING"
    """It is due, or will be tried again."""
    DELIVERED = "DELIVERED"
    DEAD = "DEAD"
    """It was given up."""
    CANCELLED = "CANCELLED"
    """Its target was deleted."""
    MERGED = "MERGED"
    """It is told in another delivery, together with others."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One notification for one target."""

    delivery_id: str
    target_id: str
    target: str
    """Name of the target; empty once it is deleted."""
    event_id: str
    event: str
    """What happened, as in `scan.failed`."""
    state: DeliveryState
    reason: str
    """Why the last attempt failed, or why it was given up."""
    message: str
    attempts: int
    """So far; since the last replay, where there was one."""
    replays: int
    created_at: datetime
    due_at: datetime | None
    """None once it has ended."""
    ended_at: datetime | None
    told_in: str
    """The delivery that it is told in; empty unless MERGED."""
    trace_id: str
    """That of the push; empty where there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What became of one attempt."""

    attempt: int
    """From 1; a replay begins anew."""
    outcome: str
    reason: str
    message: str
    http_status: int | None
    milliseconds: int
    excerpt: str
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryAccount:
    """All about one delivery."""

    delivery: Delivery
    body: bytes = dataclasses.field(repr=False)
    """What is sent: JSON."""
    attempts: tuple[Attempt, ...]
    """Oldest first; the last 1,000."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryFilter:
    """Which deliveries are wanted; empty means all."""

    target: str = ""
    """Id or name; that of a deleted target by its id."""
    state: DeliveryState | None = None
    since: datetime | None = None
    """Taken at this moment or later."""
    until: datetime | None = None
    """Taken before this moment."""


SCAN_COMPLETED = "cr:Artifact:ScanCompleted"
"""What event rules are about: the reference's word for the end of a scan, well or not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventRule:
    """Has a target told of an instance's images, whatever scan rule asked for the scan."""

    rule_id: str
    """`crecr-…`."""
    instance_id: str
    name: str
    """Unique in the instance."""
    target_id: str
    event_type: str = SCAN_COMPLETED
    scope: Scope = Scope.INSTANCE
    namespaces: tuple[str, ...] = ()
    repo_names: tuple[str, ...] = ()
    tag_pattern: str = ""
    """RE2 for the whole tag; all when empty."""
    created_at: datetime
    updated_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """That an event rule had something told."""

    record_id: str
    rule_id: str
    rule_name: str
    """As it was then."""
    instance_id: str
    event_type: str
    delivery_id: str
    kind: str
    """Of the target."""
    namespace: str
    repository: str
    tag: str
    created_at: datetime
    updated_at: datetime
    """When the delivery ended, else when the event was taken."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EventRecordFilter:
    """Which records are wanted; empty means all."""

    instance_id: str
    rule_id: str = ""
    event_type: str = ""
    namespaces: tuple[str, ...] = ()
    repository: str = ""


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

    async def get_subscription(self, target: str) -> Subscription:
        """Returns what a target, by id or name, is told of; what it was never given is the default."""
        ...

    async def set_subscription(self, target: str, subscription: Subscription) -> Subscription:
        """Replaces what a target is told of, from the next event on. What waits for its window still waits for it.

        Raises:
            ServiceError: INVALID_SUBSCRIPTION, INVALID_TAG_PATTERN.
        """
        ...

    async def list_deliveries(
        self, wanted: DeliveryFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Delivery]:
        """Lists deliveries, newest first."""
        ...

    async def get_delivery(self, delivery_id: str) -> DeliveryAccount:
        """Returns one delivery with its body and its attempts. Raises DELIVERY_NOT_EXIST."""
        ...

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        """Makes a dead delivery due again: the receiver gets the same id and body, attempts and age begin anew.

        Raises:
            ServiceError: DELIVERY_NOT_EXIST; DELIVERY_NOT_DEAD (FAILED_PRECONDITION); TARGET_NOT_EXIST.
        """
        ...

    async def replay_deliveries(self, target: str) -> int:
        """Does so with the oldest 1,000 dead deliveries to a target, by id or name; returns how many that were."""
        ...

    async def create_event_rule(self, rule: EventRule) -> EventRule:
        """Saves an event rule; the target is named by id or name, ids and times are given here.

        A target that was never told what it is to hear of hears of every end of a scan that such a rule names.

        Raises:
            ServiceError: EVENT_RULE_ALREADY_EXIST, EVENT_TYPE_NOT_SUPPORTED, TOO_MANY_EVENT_RULES, INVALID_*.
        """
        ...

    async def update_event_rule(self, rule: EventRule) -> EventRule:
        """Replaces an event rule of its instance. Errors as `create_event_rule`, and EVENT_RULE_NOT_EXIST."""
        ...

    async def delete_event_rule(self, instance_id: str, rule_id: str) -> None:
        """Deletes an event rule; its records stay. Raises EVENT_RULE_NOT_EXIST."""
        ...

    async def list_event_rules(self, instance_id: str) -> tuple[EventRule, ...]:
        """Lists the event rules of an instance by name; at most 100."""
        ...

    async def list_event_records(
        self, wanted: EventRecordFilter, *, offset: int = 0, size: int = 0
    ) -> tuple[tuple[EventRecord, ...], int]:
        """Lists what event rules had told, newest first, and says how many records there are in all."""
        ...
