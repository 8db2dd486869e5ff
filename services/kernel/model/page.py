"""Pages of lists: opaque tokens that belong to the question they continue (AIP-158)."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hashlib
import uuid
from datetime import UTC, datetime
from typing import Generic, TypeVar

import msgspec

from services.kernel.errors import ServiceError, invalid

T = TypeVar("T")
DEFAULT_SIZE = 100
MAX_SIZE = 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T]):
    """Some items of a list, and where the next page begins."""

    items: tuple[T, ...]
    next_token: str = ""
    """Empty on the last page."""
    total: int = 0
    """How many there are in all, where the call says that it counts."""


def page_size(asked: int) -> int:
    """Turns the size that a caller asked for into the size it gets: 0 is the default, too many is cut.

    Raises:
        ServiceError: INVALID_PAGE_SIZE when negative.
    """
    if asked < 0:
        raise invalid("INVALID_PAGE_SIZE", "A page cannot have a negative size.", field="page_size")
    return min(asked, MAX_SIZE) or DEFAULT_SIZE


def encode_token(position: tuple[str, ...], *question: object) -> str:
    """Makes the token after `position` (the sort key of the last item) for one question (all other arguments)."""
    body = msgspec.json.encode([_fingerprint(question), *position])
    return base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_token(token: str, *question: object, length: int | None = None) -> tuple[str, ...] | None:
    """Returns the position in a token, of so many parts if named; None for the empty token of a first page.

    Raises:
        ServiceError: INVALID_PAGE_TOKEN when it is damaged or belongs to another question.
    """
    if not token:
        return None
    try:
        body = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        fingerprint, *position = msgspec.json.decode(body, type=list[str])
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise bad_token() from error
    if fingerprint != _fingerprint(question) or (length is not None and len(position) != length):
        raise bad_token()
    if any("\0" in part for part in position):  # no database takes it in a text
        raise bad_token()
    return tuple(position)


def decode_moment(token: str, *question: object, is_uuid: bool = False) -> tuple[datetime, str] | None:
    """Returns the moment and the id in the token of a list by creation; None for the empty token of a first page.

    Args:
        token: what `encode_token` made of the moment in ISO 8601 and the id.
        question: all other arguments of the call.
        is_uuid: the ids of this list are UUIDs.

    Raises:
        ServiceError: INVALID_PAGE_TOKEN as with `decode_token`, or when no such moment and id stand in it.
    """
    position = decode_token(token, *question, length=2)
    if position is None:
        return None
    text, item_id = position
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise bad_token()
        if is_uuid:
            item_id = str(uuid.UUID(item_id))
        return moment.astimezone(UTC), item_id
    except (ValueError, OverflowError) as error:
        raise bad_token() from error


def bad_token() -> ServiceError:
    """The error of a token that nobody here made."""
    return invalid(
        "INVALID_PAGE_TOKEN",
        "The page token does not belong to this list.",
        field="page_token",
        hint="Send the other arguments unchanged, or begin without a token.",
    )


def _fingerprint(question: tuple[object, ...]) -> str:
    return hashlib.sha256(repr(question).encode()).hexdigest()[:12]
