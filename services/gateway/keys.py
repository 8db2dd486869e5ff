"""Access keys: made, listed, revoked; and the first one, that of the administrator."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio.to_thread
import structlog

from services.gateway.access_keys import AccessKeys
from services.gateway.api import IssuedKey, Key, Role
from services.gateway.store import GatewayStore
from services.gateway.tokenfile import read_token, write_token
from services.gateway.tokens import TokenChecker, hash_token, mint_token
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.ids import Ids
from services.kernel.model import page as pages
from services.kernel.model.page import Page, decode_moment, encode_token

log = structlog.get_logger()

_NAME = re.compile(r"[a-z0-9._-]{1,64}")
_ADMIN = "admin"
_BEGINNING = (datetime(1970, 1, 1, tzinfo=UTC), "")

FindInstance = Callable[[str], Awaitable[str]]
"""Turns an instance's id or name into its id; raises INSTANCE_NOT_EXIST."""


class Keys:
    """The application behind AdminApi."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: GatewayStore,
        checker: TokenChecker,
        access_keys: AccessKeys,
        find_instance: FindInstance,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._pool = pool
        self._store = store
        self._checker = checker
        self._access_keys = access_keys
        self._find_instance = find_instance
        self._clock = clock
        self._ids = ids

    async def create_key(
        self, *, name: str, role: Role, instance: str = "", access_key: bool = False
    ) -> IssuedKey:
        """Makes a key; see AdminApi."""
        _check_name(name)
        if access_key and role is Role.WEBHOOK:
            raise invalid("INVALID_ACCESS_KEY", "A webhook key has no access key.", field="access_key")
        key = self._new_key(name, role, await self._bind(role, instance))
        token = mint_token()
        async with self._pool.acquire() as conn, conn.transaction():
            if not await self._store.insert_key(conn, key, hash_token(token)):
                raise ServiceError(
                    Kind.ALREADY_EXISTS,
                    "KEY_ALREADY_EXIST",
                    f"There is already a key called {name!r}.",
                    hint="Choose another name, or revoke the old key first.",
                    field="name",
                )
            issued = await self._access_keys.issue(conn, key) if access_key else None
        log.info("key.created", key_id=key.key_id, role=role.value, instance_id=key.instance_id)
        return IssuedKey(key=key, token=token, access_key=issued)

    async def list_keys(self, *, page_size: int = 0, page_token: str = "") -> Page[Key]:
        """Lists living keys, oldest first."""
        size = pages.page_size(page_size)
        after = decode_moment(page_token, "keys") or _BEGINNING
        async with self._pool.acquire() as conn:
            found = await self._store.list_keys(conn, after, size + 1)
        items = found[:size]
        more = len(found) > size
        token = encode_token((items[-1].created_at.isoformat(), items[-1].key_id), "keys") if more else ""
        return Page(items=items, next_token=token)

    async def revoke_key(self, key: str) -> None:
        """Revokes a key by id or name; see AdminApi."""
        digest = None
        if _NAME.fullmatch(key):  # ids have the form of a name, too
            async with self._pool.acquire() as conn:
                digest = await self._store.revoke_key(conn, key, self._clock.now())
        if digest is None:
            raise not_found(
                "KEY_NOT_EXIST", f"There is no living key {key[:80]!r}.", hint="`drydock key list` shows them."
            )
        self._checker.forget(digest)
        self._access_keys.forget_all()
        log.info("key.revoked", key=key)

    async def bootstrap_admin(self, path: Path) -> None:
        """Makes sure that the token in the file is that of a living admin key.

        A well-formed token that is there stays, so that an operator may provide one; a missing file, a broken one
        and a revoked token are replaced. The file has mode 0600 and is never seen half-written. Idempotent, and
        safe in several processes at once.
        """
        async with self._pool.acquire() as conn, conn.transaction():
            await self._store.lock_bootstrap(conn)
            token = await anyio.to_thread.run_sync(read_token, path)
            if token and await self._is_admin(conn, hash_token(token)):
                return
            if not token or await self._store.was_revoked(conn, hash_token(token)):
                token = mint_token()
                # Before the commit: a file without its key is mended by the next start, a key without its
                # file would be a token that nobody has.
                await anyio.to_thread.run_sync(write_token, path, token)
            replaced = await self._store.revoke_key(conn, _ADMIN, self._clock.now())
            key = self._new_key(_ADMIN, Role.ADMIN, "")
            await self._store.insert_key(conn, key, hash_token(token))
        if replaced is not None:
            self._checker.forget(replaced)
        log.info("key.bootstrapped", key_id=key.key_id, path=str(path))

    async def _is_admin(self, conn: Connection, digest: bytes) -> bool:
        found = await self._store.find_living_key(conn, digest)
        if found is not None and found[0].role is not Role.ADMIN:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TOKEN_FILE_NOT_ADMIN",
                "The token file holds the token of a key that is no admin key.",
                hint="Remove the file, or put the token of an admin key there.",
            )
        return found is not None

    async def _bind(self, role: Role, instance: str) -> str:
        if role is not Role.WEBHOOK:
            if instance:
                raise invalid("INVALID_INSTANCE", "Only a webhook key has an instance.", field="instance")
            return ""
        if not instance:
            raise invalid(
                "INVALID_INSTANCE",
                "A webhook key belongs to one instance.",
                field="instance",
                hint="Name the instance whose registry will send the webhooks.",
            )
        return await self._find_instance(instance)

    def _new_key(self, name: str, role: Role, instance_id: str) -> Key:
        return Key(
            key_id=self._ids.named("key"),
            name=name,
            role=role,
            instance_id=instance_id,
            created_at=self._clock.now(),
        )


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(
            "INVALID_NAME", f"{name[:80]!r} is no name of a key.", field="name", hint="Use 1 to 64 of [a-z0-9._-]."
        )
