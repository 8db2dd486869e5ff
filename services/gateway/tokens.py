"""Tokens: what they look like, how they are kept, and who they belong to."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict

from services.gateway.api import Key
from services.gateway.store import GatewayStore
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError

PREFIX = "ddk_"
"""So that secret scanners, our own among them, know one when they see it."""
_TOKEN = re.compile(r"ddk_[A-Za-z0-9_-]{43}")
_TTL_SECONDS = 1.5
"""A revoked key is refused within two seconds: this, and half a second for the look-up itself."""
_MAX_REMEMBERED = 4096


def mint_token() -> str:
    """Returns a token of 256 random bits: `ddk_` and 43 URL-safe characters."""
    return PREFIX + secrets.token_urlsafe(32)


def is_token(text: str) -> bool:
    """Tells whether a text has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def hash_token(token: str) -> bytes:
    """Returns what is kept of a token."""
    return hashlib.sha256(token.encode()).digest()


class TokenChecker:
    """Finds the key of a token; remembers what it found for a moment. For use on one event loop."""

    def __init__(self, pool: Pool, store: GatewayStore, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()

    async def check(self, token: str) -> Key:
        """Returns the living key of a token.

        Raises:
            ServiceError: TOKEN_MISSING for none at all; TOKEN_UNKNOWN for any other text: which of the reasons it
                was is nobody's business.
        """
        if not token:
            raise _missing()
        if not is_token(token):
            raise _unknown()
        digest = hash_token(token)
        remembered = self._known.get(digest)
        if remembered is not None and self._clock.monotonic() < remembered[1]:
            return remembered[0]
        asked_at = self._clock.monotonic()
        async with self._pool.acquire() as conn:
            found = await self._store.find_living_key(conn, digest)
        if found is None or not hmac.compare_digest(found[1], digest):
            self.forget(digest)
            raise _unknown()
        self._remember(digest, found[0], asked_at)
        return found[0]

    def forget(self, digest: bytes) -> None:
        """Drops what is remembered of a token's hash; the next call asks the database."""
        self._known.pop(digest, None)

    def _remember(self, digest: bytes, key: Key, asked_at: float) -> None:
        self._known[digest] = (key, asked_at + _TTL_SECONDS)
        self._known.move_to_end(digest)
        while len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)


def _missing() -> ServiceError:
    return ServiceError(
        Kind.UNAUTHENTICATED,
        "TOKEN_MISSING",
        "The call carries no access token.",
        hint="Send the header 'Authorization: Bearer <token>'.",
    )


def _unknown() -> ServiceError:
    return ServiceError(
        Kind.UNAUTHENTICATED,
        "TOKEN_UNKNOWN",
        "The access token is not valid.",
        hint="It may be mistyped or revoked: ask an administrator for a new one.",
    )
