"""The gateway's rows: keys, used nonces, the audit log and the counter of image events."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from services.gateway.api import Act, AuditRecord, Key, Role
from services.kernel.db import Connection
from services.kernel.sql import load_queries


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FoundKey:
    """A key, as a token or an access key opened it."""

    key: Key
    proof: bytes
    """The token's hash as saved, or the access key's sealed secret."""
    ends_at: datetime | None
    """When it opens it no more; None for never."""


class GatewayStore:
    """One method for each query."""

    def __init__(self) -> None:
        self._queries = load_queries("services.gateway")

    async def insert_key(self, conn: Connection, key: Key, token_sha256: bytes) -> bool:
        """Saves a key; False when a living one has its name."""
        saved = await conn.fetchval(
            self._queries["insert_key"],
            key.key_id,
            key.name,
            key.role.value,
            key.instance_id,
            token_sha256,
            key.created_at,
            msgspec.json.encode({instance: sorted(names) for instance, names in key.scopes.items()}).decode(),
            key.expires_at,
        )
        return saved is not None

    async def find_living_key(self, conn: Connection, token_sha256: bytes, now: datetime) -> FoundKey | None:
        """Returns the key that a hash opens now."""
        row = await conn.fetchrow(self._queries["find_living_key"], token_sha256, now)
        return FoundKey(key=_to_key(row), proof=row["matched"], ends_at=row["ends_at"]) if row else None

    async def was_spent(self, conn: Connection, token_sha256: bytes, now: datetime) -> bool:
        """Tells whether a hash was that of a key, and opens it no more or not for long."""
        return bool(await conn.fetchval(self._queries["was_spent"], token_sha256, now))

    async def touch_key(self, conn: Connection, key_id: str, now: datetime, unless_after: datetime) -> None:
        """Notes that a key is used, unless that was noted lately."""
        await conn.execute(self._queries["touch_key"], key_id, now, unless_after)

    async def list_keys(self, conn: Connection, after: tuple[datetime, str], limit: int) -> tuple[Key, ...]:
        """Lists living keys after (creation, id), oldest first."""
        rows = await conn.fetch(self._queries["list_keys"], *after, limit)
        return tuple(_to_key(row) for row in rows)

    async def rotate_key(
        self, conn: Connection, key: str, token_sha256: bytes, now: datetime, until: datetime
    ) -> tuple[Key, tuple[bytes, ...]] | None:
        """Gives a key, by id or name, another hash; returns it and the hashes that it had, None for no key."""
        row = await conn.fetchrow(self._queries["rotate_key"], key, token_sha256, now, until)
        return (_to_key(row), _hashes(row["old_sha256"], row["older_sha256"])) if row else None

    async def revoke_key(self, conn: Connection, key: str, at: datetime) -> tuple[bytes, ...]:
        """Revokes by id or name; returns its hashes, none when no living key is called that."""
        row = await conn.fetchrow(self._queries["revoke_key"], key, at)
        return _hashes(row["token_sha256"], row["previous_sha256"]) if row else ()

    async def insert_access_key(
        self, conn: Connection, access_key_id: str, key: Key, secret_sealed: bytes, now: datetime
    ) -> None:
        """Saves an access key of a key."""
        await conn.execute(self._queries["insert_access_key"], access_key_id, key.key_id, secret_sealed, now)

    async def find_access_key(self, conn: Connection, access_key_id: str, now: datetime) -> FoundKey | None:
        """Returns the key that an access key opens now, with the sealed secret."""
        row = await conn.fetchrow(self._queries["find_access_key"], access_key_id, now)
        return FoundKey(key=_to_key(row), proof=row["secret_sealed"], ends_at=row["ends_at"]) if row else None

    async def end_access_keys(self, conn: Connection, key_id: str, now: datetime, until: datetime) -> bool:
        """Has the access key of a key end then, and one before it now; False where the key never had one."""
        return bool(await conn.fetchval(self._queries["end_access_keys"], key_id, now, until))

    async def use_nonce(self, conn: Connection, nonce_sha256: bytes, forget_at: datetime) -> bool:
        """Notes that a nonce is used; False when it was before."""
        return await conn.fetchval(self._queries["use_nonce"], nonce_sha256, forget_at) is not None

    async def forget_nonces(self, conn: Connection, before: datetime, limit: int) -> int:
        """Deletes nonces that are not needed after this moment, at most so many; returns how many."""
        status = await conn.execute(self._queries["forget_nonces"], before, limit)
        return int(status.rpartition(" ")[2])

    async def insert_audit(self, conn: Connection, act: Act, at: datetime) -> int:
        """Notes an act, and returns the record's id."""
        subject = msgspec.json.encode(dict(act.subject)).decode()
        return int(
            await conn.fetchval(
                self._queries["insert_audit"], at, act.actor, act.action, act.instance, subject, act.request_id
            )
        )

    async def end_audit(self, conn: Connection, record_id: int, outcome: str) -> None:
        """Notes how an act ended; a second time changes nothing."""
        await conn.execute(self._queries["end_audit"], record_id, outcome)

    async def list_audit(
        self, conn: Connection, before: int, instances: Sequence[str], limit: int
    ) -> tuple[AuditRecord, ...]:
        """Lists records before one, newest first, of instances by these names, or of all for none."""
        rows = await conn.fetch(self._queries["list_audit"], before, list(instances), limit)
        return tuple(
            AuditRecord(
                record_id=row["record_id"],
                at=row["recorded_at"],
                actor=row["actor"],
                action=row["action"],
                instance=row["instance"],
                subject=msgspec.json.decode(row["subject"], type=dict[str, str]),
                outcome=row["outcome"],
                request_id=row["request_id"],
            )
            for row in rows
        )

    async def lock_bootstrap(self, conn: Connection) -> None:
        """Waits until no other process replaces the key of the token file; holds to the transaction's end."""
        await conn.execute(self._queries["lock_bootstrap"])

    async def next_revisions(self, conn: Connection, count: int) -> tuple[int, ...]:
        """Draws `count` revisions, rising; each is greater than every one drawn before."""
        rows = await conn.fetch(self._queries["next_revisions"], count)
        return tuple(sorted(row[0] for row in rows))


def _to_key(row: asyncpg.Record) -> Key:
    return Key(
        key_id=row["key_id"],
        name=row["name"],
        role=Role(row["role"]),
        instance_id=row["instance_id"],
        created_at=row["created_at"],
        scopes=msgspec.json.decode(row["scopes"], type=dict[str, frozenset[str]]),
        expires_at=row["expires_at"],
        last_used_at=row["last_used_at"],
        overlap_until=row["previous_until"],
    )


def _hashes(*known: bytes | None) -> tuple[bytes, ...]:
    return tuple(each for each in known if each is not None)
