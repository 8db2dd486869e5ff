"""Tokens: what they look like, how they are kept, and who they belong to."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections import OrderedDict
from datetime import datetime, timedelta

from services.gateway import caller
from services.gateway.api import Key, Role
from services.gateway.rates import NO_LIMIT, Rates
from services.gateway.store import FoundKey, GatewayStore
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError

PREFIX = "ddk_"
"""So that secret scanners, our own among them, know one when they see it."""
_TOKEN = re.compile(r"ddk_[A-Za-z0-9_-]{43}")
_TTL_SECONDS = 1.5
"""A revoked key is refused within two seconds: this, and half a second for the look-up itself."""
_MAX_REMEMBERED = 4096
_TOUCH = timedelta(minutes=1)
"""So exact is when a key was last used."""


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

    def __init__(self, pool: Pool, store: GatewayStore, clock: Clock, rates: Rates = NO_LIMIT) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._rates = rates
        self._known: OrderedDict[bytes, tuple[Key, float]] = OrderedDict()

    async def check(self, token: str) -> Key:
        """Returns the living key of a token, which is the caller of the current task from here on.

        Raises:
            ServiceError: TOKEN_MISSING for none at all; TOKEN_UNKNOWN for any other text: which of the reasons it
                was is nobody's business; RATE_EXCEEDED.
        """
        if not token:
            raise _missing()
        if not is_token(token):
            raise _unknown()
        digest = hash_token(token)
        remembered = self._known.get(digest)
        if remembered is not None and self._clock.monotonic() < remembered[1]:
            key = remembered[0]
        else:
            key = await self._find(digest)
        if key.role is not Role.WEBHOOK:  # its instance has a rate of its own
            self._rates.take(key)
        caller.enter(key)
        return key

    async def _find(self, digest: bytes) -> Key:
        asked_at, now = self._clock.monotonic(), self._clock.now()
        async with self._pool.acquire() as conn:
            found = await self._store.find_living_key(conn, digest, now)
            if found is None or not hmac.compare_digest(found.proof, digest):
                self.forget(digest)
                raise _unknown()
            await touch(conn, self._store, found.key, now)
        self._remember(digest, found.key, asked_at + believed_seconds(found, now))
        return found.key

    def forget(self, digest: bytes) -> None:
        """Drops what is remembered of a token's hash; the next call asks the database."""
        self._known.pop(digest, None)

    def _remember(self, digest: bytes, key: Key, until: float) -> None:
        self._known[digest] = (key, until)
        self._known.move_to_end(digest)
        while len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)


def believed_seconds(found: FoundKey, now: datetime) -> float:
    """Returns for how long a key may be answered from memory."""
    return _TTL_SECONDS if found.ends_at is None else min((found.ends_at - now).total_seconds(), _TTL_SECONDS)


async def touch(conn: Connection, store: GatewayStore, key: Key, now: datetime) -> None:
    """Notes that a key is used, to the minute."""
    if key.last_used_at is None or key.last_used_at <= now - _TOUCH:
        await store.touch_key(conn, key.key_id, now, now - _TOUCH)


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
        hint="It may be mistyped, expired or revoked: ask an administrator for a new one.",
    )
