"""The envelopes of the distribution registry, read with care.

Format: CNCF Distribution, "Work with notifications", sections "Envelope" and "Event format". Everything in one is
the sender's claim: names are checked against the kernel's grammar, addresses are never looked at.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from services.kernel.errors import ServiceError, invalid
from services.kernel.model import media
from services.kernel.model.access import USER_AGENT
from services.kernel.model.digest import parse_digest
from services.kernel.model.reference import RepositoryName, parse_repository, parse_tag

MAX_EVENTS = 1000
_SCANNED = media.MANIFEST_TYPES | media.INDEX_TYPES
_NAMESPACE = uuid.UUID("5b1d4f9e-3c0a-5d6b-9a55-1f6a0c2d7e10")
_MAX_ACTOR = 255
_SCANNERS = (USER_AGENT, "trivy/")
"""How the names begin by which we and the Trivy engine pull; whoever lies here is a pull short."""


class Action(enum.Enum):
    """What happened to a manifest, in the registry's words."""

    PUSH = "push"
    DELETE = "delete"
    PULL = "pull"


class Ignored(enum.Enum):
    """Why an event starts nothing; a closed set, for metrics and for the sender."""

    MALFORMED = "malformed"
    """It cannot be read, or names no repository, tag or digest that can be one."""
    ACTION = "action"
    """It is no push, deletion or pull."""
    MEDIA_TYPE = "media_type"
    """It is about a layer, a configuration or another thing that is no image."""
    UNTAGGED = "untagged"
    """It is a push without a tag: a platform's manifest, whose index follows with the tag."""
    LOOK = "look"
    """It is called a pull, and only asked what is there."""
    SCANNER = "scanner"
    """It is a pull by a scanner, such as ourselves: nobody uses the image for it."""
    SYNC_OFF = "sync_off"
    """It is a pull from an instance that is not kept in step with its registry."""
    REPEATED = "repeated"
    """It is a pull of what was pulled a moment ago."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One event about one manifest, or about a repository that was deleted, checked."""

    event_id: str
    """UUID; the same for every delivery of the same event."""
    action: Action
    repository: RepositoryName
    tag: str
    """Empty where the event names none."""
    digest: str
    """With its algorithm; empty when a tag alone was deleted, or, without a tag, a whole repository."""
    media_type: str
    occurred_at: datetime | None
    """None when the sender's clock cannot be read."""
    actor: str


class _Target(msgspec.Struct):
    repository: str
    media_type: str = msgspec.field(default="", name="mediaType")
    digest: str = ""
    tag: str = ""


class _Request(msgspec.Struct):
    method: str = ""
    useragent: str = ""


class _Actor(msgspec.Struct):
    name: str = ""


class _Event(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    action: str
    target: _Target
    timestamp: str = ""
    actor: _Actor = msgspec.field(default_factory=_Actor)
    request: _Request = msgspec.field(default_factory=_Request)


class _Envelope(msgspec.Struct):
    events: list[msgspec.Raw]


_envelopes = msgspec.json.Decoder(_Envelope)
_events = msgspec.json.Decoder(_Event)


def open_envelope(body: bytes) -> tuple[bytes, ...]:
    """Splits an envelope into its events, each still JSON: one broken event does not spoil the others.

    Raises:
        ServiceError: WEBHOOK_MALFORMED, WEBHOOK_TOO_MANY_EVENTS.
    """
    try:
        events = _envelopes.decode(body).events
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise invalid(
            "WEBHOOK_MALFORMED",
            "The body is no envelope of registry events.",
            hint='Send a JSON object with a list "events", as the distribution registry does.',
        ) from error
    if len(events) > MAX_EVENTS:
        raise invalid(
            "WEBHOOK_TOO_MANY_EVENTS", f"An envelope may hold {MAX_EVENTS} events, this has {len(events)}."
        )
    return tuple(bytes(event) for event in events)


def read_event(instance_id: str, event: bytes) -> Notice | Ignored:
    """Checks one event. Nothing in it can make this raise."""
    try:
        decoded = _events.decode(event)
        action = Action(decoded.action) if decoded.action in _ACTIONS else None
        if action is None:
            return Ignored.ACTION
        return _read(instance_id, action, decoded)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ServiceError):
        return Ignored.MALFORMED


_ACTIONS = frozenset(action.value for action in Action)


def _read(instance_id: str, action: Action, event: _Event) -> Notice | Ignored:
    target = event.target
    # A deletion names no media type; of a layer it does no harm, since no scan knows such a digest.
    if target.media_type not in _SCANNED and (target.media_type or action is not Action.DELETE):
        return Ignored.MEDIA_TYPE
    if action is Action.PUSH and not target.tag:
        return Ignored.UNTAGGED
    if action is Action.PULL and event.request.method == "HEAD":
        return Ignored.LOOK
    if action is Action.PULL and event.request.useragent.startswith(_SCANNERS):
        return Ignored.SCANNER
    if not target.digest and action is not Action.DELETE:
        return Ignored.MALFORMED
    repository = parse_repository(target.repository)
    tag = parse_tag(target.tag) if target.tag else ""
    digest = parse_digest(target.digest) if target.digest else ""
    identity = [instance_id, event.id, action.value, repository.path, digest, tag]
    return Notice(
        event_id=str(uuid.uuid5(_NAMESPACE, msgspec.json.encode(identity).decode())),
        action=action,
        repository=repository,
        tag=tag,
        digest=digest,
        media_type=target.media_type,
        occurred_at=_read_time(event.timestamp),
        actor=event.actor.name[:_MAX_ACTOR],
    )


def _read_time(text: str) -> datetime | None:
    try:
        moment = msgspec.convert(text, datetime)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (msgspec.ValidationError, OverflowError):
        return None
