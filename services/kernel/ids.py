"""Ids as a parameter: random ones in production, counted ones in tests."""

from __future__ import annotations

import secrets
import uuid
from typing import Protocol

from services.kernel.errors import invalid

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


def checked_request_id(said: str) -> str:
    """Returns the id that a caller gives a request, by which it may be repeated, as a lower-case UUID.

    Raises:
        ServiceError: INVALID_REQUEST_ID.
    """
    try:
        return str(uuid.UUID(said))
    except ValueError:
        raise invalid("INVALID_REQUEST_ID", "The request id is no UUID.", field="request_id") from None


class Ids(Protocol):
    """Mints ids that are unique across every process of an installation."""

    def uuid(self) -> str:
        """Returns a lower-case UUID, for tasks, scans, events and requests."""
        ...

    def named(self, prefix: str) -> str:
        """Returns `<prefix>-` and 16 characters of [a-z0-9], for things that people type (`cri-…`, `crr-…`)."""
        ...


class RandomIds:
    """Ids from the system's random source."""

    def uuid(self) -> str:
        """Returns a random lower-case UUID (version 4)."""
        return str(uuid.uuid4())

    def named(self, prefix: str) -> str:
        """Returns `<prefix>-` and 16 random characters of [a-z0-9] (82 bits)."""
        return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(16))
