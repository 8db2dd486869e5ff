"""Access keys: made, listed, revoked; and the first one, that of the administrator."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import anyio.to_thread
import structlog

from services.gateway.access_keys import AccessKeys
from services.gateway.api import IssuedKey, Key, KeyScope, Role
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
_MOST_SCOPES = 100
_NAMESPACE = re.compile(r"[^\x00-\x1f\x7f]{1,255}")
_LONGEST_LIFE = timedelta(days=3653)
_OVERLAP = timedelta(days=1)
_LONGEST_OVERLAP = timedelta(days=30)

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
        self,
        *,
        name: str,
        role: Role,
        instance: str = "",
        access_key: bool = False,
        scopes: Sequence[KeyScope] = (),
        lifetime: timedelta | None = None,
    ) -> IssuedKey:
        """Makes a key; see AdminApi."""
        _check_name(name)
        _check_span("lifetime", lifetime, timedelta(seconds=1), _LONGEST_LIFE)
        if access_key and role is Role.WEBHOOK:
            raise invalid("INVALID_ACCESS_KEY", "A webhook key has no access key.", field="access_key")
        if role is not Role.WEBHOOK and instance:
            scopes = (*scopes, KeyScope(instance=instance))
        key = self._new_key(
            name,
            role,
            await self._bind(instance, scopes) if role is Role.WEBHOOK else "",
            scopes=await self._limits(role, scopes) if role is not Role.WEBHOOK else {},
            lifetime=lifetime,
        )
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
        log.info("key.created", key_id=key.key_id, role=role.value, instances=list(key.limits))
        return IssuedKey(key=key, token=token, access_key=issued)

    async def list_keys(self, *, page_size: int = 0, page_token: str = "") -> Page[Key]:
        """Lists living keys, oldest first."""
        size = pages.page_size(page_size)
        after = decode_moment(page_token, "keys") or _BEGINNING
        async with self._pool.acquire() as conn:
            found = await self._store.list_keys(conn, after, size + 1)
        now = self._clock.now()
        items = tuple(
            dataclasses.replace(key, overlap_until=None)
            if key.overlap_until is not None and key.overlap_until <= now
            else key
            for key in found[:size]
        )
        more = len(found) > size
        token = encode_token((items[-1].created_at.isoformat(), items[-1].key_id), "keys") if more else ""
        return Page(items=items, next_token=token)

    async def rotate_key(self, key: str, *, overlap: timedelta | None = None) -> IssuedKey:
        """Gives a key other secrets; see AdminApi."""
        overlap = _OVERLAP if overlap is None else overlap
        _check_span("overlap", overlap, timedelta(0), _LONGEST_OVERLAP)
        if not _NAME.fullmatch(key):  # ids have the form of a name, too
            raise _no_key(key)
        token, now = mint_token(), self._clock.now()
        async with self._pool.acquire() as conn, conn.transaction():
            rotated = await self._store.rotate_key(conn, key, hash_token(token), now, now + overlap)
            if rotated is None:
                raise _no_key(key)
            kept, hashes = rotated
            if kept.name == _ADMIN:
                raise _of_token_file()
            access_key = await self._access_keys.replace(conn, kept, now + overlap)
        self._forget(hashes)
        log.info("key.rotated", key_id=kept.key_id, overlap_seconds=overlap.total_seconds())
        return IssuedKey(key=kept, token=token, access_key=access_key)

    async def revoke_key(self, key: str) -> None:
        """Revokes a key by id or name; see AdminApi."""
        if not _NAME.fullmatch(key):
            raise _no_key(key)
        async with self._pool.acquire() as conn:
            hashes = await self._store.revoke_key(conn, key, self._clock.now())
        if not hashes:
            raise _no_key(key)
        self._forget(hashes)
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
            if not token or await self._store.was_spent(conn, hash_token(token), self._clock.now()):
                token = mint_token()
                # Before the commit: a file without its key is mended by the next start, a key without its
                # file would be a token that nobody has.
                await anyio.to_thread.run_sync(write_token, path, token)
            replaced = await self._store.revoke_key(conn, _ADMIN, self._clock.now())
            key = self._new_key(_ADMIN, Role.ADMIN, "")
            await self._store.insert_key(conn, key, hash_token(token))
        self._forget(replaced)
        log.info("key.bootstrapped", key_id=key.key_id, path=str(path))

    async def _is_admin(self, conn: Connection, digest: bytes) -> bool:
        found = await self._store.find_living_key(conn, digest, self._clock.now())
        if found is not None and found.key.role is not Role.ADMIN:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "TOKEN_FILE_NOT_ADMIN",
                "The token file holds the token of a key that is no admin key.",
                hint="Remove the file, or put the token of an admin key there.",
            )
        return found is not None

    async def _bind(self, instance: str, scopes: Sequence[KeyScope]) -> str:
        """Returns the one instance of a webhook key."""
        if scopes:
            raise invalid("INVALID_SCOPE", "A webhook key has one whole instance, no scopes.", field="scopes")
        if not instance:
            raise invalid(
                "INVALID_INSTANCE",
                "A webhook key belongs to one instance.",
                field="instance",
                hint="Name the instance whose registry will send the webhooks.",
            )
        return await self._find_instance(instance)

    async def _limits(self, role: Role, scopes: Sequence[KeyScope]) -> Mapping[str, frozenset[str]]:
        """Returns what a key is limited to, by ids."""
        if scopes and role is Role.ADMIN:
            raise invalid(
                "INVALID_SCOPE",
                "An admin key cannot be limited: its bearer could make one that is not.",
                field="scopes",
                hint="Use another role.",
            )
        if len(scopes) > _MOST_SCOPES or any(len(scope.namespaces) > _MOST_SCOPES for scope in scopes):
            raise invalid(
                "INVALID_SCOPE",
                f"A key has {_MOST_SCOPES} instances at most, and of each {_MOST_SCOPES} namespaces.",
                field="scopes",
            )
        limits: dict[str, frozenset[str]] = {}
        for scope in scopes:
            if not all(map(_NAMESPACE.fullmatch, scope.namespaces)):
                raise invalid("INVALID_NAMESPACE", "A namespace of a scope cannot be one.", field="scopes")
            instance_id = await self._find_instance(scope.instance)
            if instance_id in limits:
                raise invalid(
                    "INVALID_SCOPE",
                    f"The instance {scope.instance[:80]!r} is named twice.",
                    field="scopes",
                    hint="Name it once, with all of its namespaces or with none.",
                )
            limits[instance_id] = frozenset(scope.namespaces)
        return limits

    def _new_key(
        self,
        name: str,
        role: Role,
        instance_id: str,
        *,
        scopes: Mapping[str, frozenset[str]] = MappingProxyType({}),
        lifetime: timedelta | None = None,
    ) -> Key:
        now = self._clock.now()
        return Key(
            key_id=self._ids.named("key"),
            name=name,
            role=role,
            instance_id=instance_id,
            created_at=now,
            scopes=scopes,
            expires_at=now + lifetime if lifetime is not None else None,
        )

    def _forget(self, hashes: Sequence[bytes]) -> None:
        for digest in hashes:
            self._checker.forget(digest)
        self._access_keys.forget_all()


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise invalid(
            "INVALID_NAME", f"{name[:80]!r} is no name of a key.", field="name", hint="Use 1 to 64 of [a-z0-9._-]."
        )


def _check_span(field: str, span: timedelta | None, shortest: timedelta, longest: timedelta) -> None:
    if span is not None and not shortest <= span <= longest:
        raise invalid(
            f"INVALID_{field.upper()}",
            f"The {field} lies between {shortest.total_seconds():.0f} s and {longest.days} days.",
            field=field,
        )


def _no_key(key: str) -> ServiceError:
    return not_found(
        "KEY_NOT_EXIST", f"There is no living key {key[:80]!r}.", hint="`drydock key list` shows them."
    )


def _of_token_file() -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "KEY_OF_TOKEN_FILE",
        f"The key {_ADMIN!r} is that of the administrator's token file.",
        hint="Put another token into the file, or remove it, and start the gateway again; or make an admin key of "
        "another name and rotate that one.",
    )
