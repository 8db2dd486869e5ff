"""Access keys: ids and secrets that callers sign with, and whose they are."""

from __future__ import annotations

import re
import secrets
from collections import OrderedDict
from datetime import datetime
from typing import Final

from services.gateway.api import AccessKey, Key
from services.gateway.store import GatewayStore
from services.gateway.tokens import believed_seconds, touch
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.secrets import SecretBox

_ALPHABET: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_ID: Final = re.compile(r"DDAK[A-Z0-9]{20}")
_MAX_REMEMBERED = 4096


class AccessKeys:
    """Issues access keys, and finds them; remembers what it found for a moment. For use on one event loop."""

    def __init__(self, *, pool: Pool, store: GatewayStore, box: SecretBox, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._box = box
        self._clock = clock
        self._known: OrderedDict[str, tuple[tuple[Key, str], float]] = OrderedDict()

    async def issue(self, conn: Connection, key: Key) -> AccessKey:
        """Makes an access key of a key, in the transaction that saves or rotates the key."""
        issued = AccessKey(
            access_key_id="DDAK" + "".join(secrets.choice(_ALPHABET) for _ in range(20)),
            secret="ddks_" + secrets.token_urlsafe(32),
        )
        sealed = self._box.seal(issued.secret, _context(issued.access_key_id))
        await self._store.insert_access_key(conn, issued.access_key_id, key, sealed, self._clock.now())
        return issued

    async def replace(self, conn: Connection, key: Key, until: datetime) -> AccessKey | None:
        """Makes another access key for a key that has one, which ends then; None for a key without."""
        if not await self._store.end_access_keys(conn, key.key_id, self._clock.now(), until):
            return None
        return await self.issue(conn, key)

    async def find(self, access_key_id: str) -> tuple[Key, str] | None:
        """Returns the living key and the secret; None where no living key has such an access key.

        Raises:
            ServiceError: SECRET_UNREADABLE when it was issued by a gateway with another encryption key.
        """
        if not _ID.fullmatch(access_key_id):
            return None
        remembered = self._known.get(access_key_id)
        if remembered is not None and self._clock.monotonic() < remembered[1]:
            return remembered[0]
        asked_at, now = self._clock.monotonic(), self._clock.now()
        async with self._pool.acquire() as conn:
            found = await self._store.find_access_key(conn, access_key_id, now)
            if found is not None:
                await touch(conn, self._store, found.key, now)
        if found is None:
            self._known.pop(access_key_id, None)
            return None
        opened = (found.key, self._box.open(found.proof, _context(access_key_id)))
        self._known[access_key_id] = (opened, asked_at + believed_seconds(found, now))
        self._known.move_to_end(access_key_id)
        while len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)
        return opened

    def forget_all(self) -> None:
        """Drops what is remembered, after a key was revoked or rotated; the next call asks the database."""
        self._known.clear()


def _context(access_key_id: str) -> str:
    return f"gateway.access_key:{access_key_id}"
