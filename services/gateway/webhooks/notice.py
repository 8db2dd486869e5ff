"""What senders tell, in our words: checked, and nothing in it but names inside the registry.

Everything that a sender says is its claim: names are held against the kernel's grammar, addresses are never read.
"""

from __future__ import annotations

import dataclasses
import enum
import uuid
from datetime import UTC, datetime

import msgspec

from services.kernel.errors import ServiceError
from services.kernel.model import media
from services.kernel.model.digest import parse_digest
from services.kernel.model.reference import RepositoryName, parse_repository, parse_tag

_SCANNED = media.MANIFEST_TYPES | media.INDEX_TYPES
_NAMESPACE = uuid.UUID("5b1d4f9e-3c0a-5d6b-9a55-1f6a0c2d7e10")
_MAX_ACTOR = 255


class Action(enum.Enum):
    """What happened to a manifest, in the words of distribution."""

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
class Claim:
    """One event as its sender tells it, unchecked."""

    identity: tuple[str, ...]
    """What tells the event from every other one of its instance, and is the same whenever it is sent again."""
    action: Action
    repository: str
    tag: str
    digest: str
    media_type: str = ""
    """Empty where the sender does not tell."""
    occurred_at: datetime | None
    """None when the sender's clock cannot be read."""
    actor: str


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
    """Empty where the sender does not tell."""
    occurred_at: datetime | None
    """None when the sender's clock cannot be read."""
    actor: str


def check(instance_id: str, claim: Claim) -> Notice | Ignored:
    """Holds a claim against what a registry can have. Nothing in it can make this raise."""
    if claim.media_type and claim.media_type not in _SCANNED:
        return Ignored.MEDIA_TYPE
    if claim.action is Action.PUSH and not claim.tag:
        return Ignored.UNTAGGED
    if not claim.digest and claim.action is not Action.DELETE:
        return Ignored.MALFORMED
    try:
        repository = parse_repository(claim.repository)
        tag = parse_tag(claim.tag) if claim.tag else ""
        digest = parse_digest(claim.digest) if claim.digest else ""
    except ServiceError:
        return Ignored.MALFORMED
    identity = [instance_id, *claim.identity, claim.action.value, repository.path, digest, tag]
    return Notice(
        event_id=str(uuid.uuid5(_NAMESPACE, msgspec.json.encode(identity).decode())),
        action=claim.action,
        repository=repository,
        tag=tag,
        digest=digest,
        media_type=claim.media_type,
        occurred_at=claim.occurred_at,
        actor=claim.actor[:_MAX_ACTOR],
    )


def read_time(text: str) -> datetime | None:
    """Reads a moment as RFC 3339 has it; None when it is none."""
    try:
        moment = msgspec.convert(text, datetime)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (msgspec.ValidationError, OverflowError):
        return None
