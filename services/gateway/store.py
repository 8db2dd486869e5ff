"""The gateway's rows: keys, used nonces, the audit log and the counter of image events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from services.gateway.api import Act, AuditRecord, Key, Role
from services.kernel.db import Connection
from services.kernel.sql import load_queries


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
        )
        return saved is not None

    async def find_living_key(self, conn: Connection, token_sha256: bytes) -> tuple[Key, bytes] | None:
        """Returns the living key of a hash together with the hash as saved."""
        row = await conn.fetchrow(self._queries["find_living_key"], token_sha256)
        return (_to_key(row), row["token_sha256"]) if row is not None else None

    async def was_revoked(self, conn: Connection, token_sha256: bytes) -> bool:
        """Tells whether a revoked key has this hash."""
        return bool(await conn.fetchval(self._queries["was_revoked"], token_sha256))

    async def list_keys(self, conn: Connection, after: tuple[datetime, str], limit: int) -> tuple[Key, ...]:
        """Lists living keys after (creation, id), oldest first."""
        rows = await conn.fetch(self._queries["list_keys"], *after, limit)
        return tuple(_to_key(row) for row in rows)

    async def revoke_key(self, conn: Connection, key: str, at: datetime) -> bytes | None:
        """Revokes by id or name; returns the hash, None when no living key is called that."""
        revoked: bytes | None = await conn.fetchval(self._queries["revoke_key"], key, at)
        return revoked

    async def insert_access_key(
        self, conn: Connection, access_key_id: str, key: Key, secret_sealed: bytes
    ) -> None:
        """Saves the access key of a key."""
        await conn.execute(
            self._queries["insert_access_key"], access_key_id, key.key_id, secret_sealed, key.created_at
        )

    async def find_access_key(self, conn: Connection, access_key_id: str) -> tuple[Key, bytes] | None:
        """Returns the living key of an access key together with the sealed secret."""
        row = await conn.fetchrow(self._queries["find_access_key"], access_key_id)
        return (_to_key(row), row["secret_sealed"]) if row is not None else None

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
    )
