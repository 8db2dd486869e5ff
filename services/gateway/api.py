"""What the gateway offers of its own: access keys."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from typing import Protocol

from services.kernel.model.page import Page


class Role(enum.Enum):
    """What the bearer of a key may do."""

    ADMIN = "ADMIN"
    OPERATOR = "OPERATOR"
    CLIENT = "CLIENT"
    VIEWER = "VIEWER"
    WEBHOOK = "WEBHOOK"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A named right to call."""

    key_id: str
    name: str
    role: Role
    instance_id: str
    """Instance that it is bound to; empty unless the role is WEBHOOK."""
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A new key with its token, which is never seen again."""

    key: Key
    token: str = dataclasses.field(repr=False)


class AdminApi(Protocol):
    """Access keys. Errors: KEY_NOT_EXIST, KEY_ALREADY_EXIST, INVALID_*."""

    async def create_key(self, *, name: str, role: Role, instance: str = "") -> IssuedKey:
        """Makes a key; a WEBHOOK key needs an instance (id or name), the others refuse one.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST.
        """
        ...

    async def list_keys(self, *, page_size: int = 0, page_token: str = "") -> Page[Key]:
        """Lists living keys, oldest first."""
        ...

    async def revoke_key(self, key: str) -> None:
        """Revokes a key by id or name for good; every gateway refuses it within two seconds."""
        ...
