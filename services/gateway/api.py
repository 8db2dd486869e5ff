"""What the gateway offers of its own: access keys, who did what with them, and dead letters of the bus."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Protocol

from services.kernel.bus.interface import Message, Place
from services.kernel.bus.letters import Refusal
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
    scopes: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict)
    """Ids of the instances that it is limited to, each with its namespaces, none for all; empty for no limit."""
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    """Within a minute or so; None when never."""
    overlap_until: datetime | None = None
    """Until when the token before the last rotation opens; None where there is none, or it opens no more."""

    @property
    def limits(self) -> Mapping[str, frozenset[str]]:
        """As `scopes`, of a WEBHOOK key its instance."""
        return MappingProxyType({self.instance_id: frozenset()}) if self.instance_id else self.scopes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyScope:
    """What a new key is limited to, as a caller says it."""

    instance: str
    """Id or name."""
    namespaces: tuple[str, ...] = ()
    """None of them means the whole instance."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AccessKey:
    """Another way to prove a key, for callers that sign: the id is sent, the secret never is."""

    access_key_id: str
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IssuedKey:
    """A key with a new token, and with an access key where it has one: neither is ever seen again."""

    key: Key
    token: str = dataclasses.field(repr=False)
    access_key: AccessKey | None = None


class AdminApi(Protocol):
    """Access keys. Errors: KEY_NOT_EXIST, KEY_ALREADY_EXIST, INVALID_*."""

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
        """Makes a key; a WEBHOOK key needs an instance (id or name) and has no access key; an ADMIN key no limits.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST.
        """
        ...

    async def list_keys(self, *, page_size: int = 0, page_token: str = "") -> Page[Key]:
        """Lists living keys, oldest first."""
        ...

    async def rotate_key(self, key: str, *, overlap: timedelta | None = None) -> IssuedKey:
        """Gives a key, by id or name, another token; the one that it had opens as long as the overlap, or a day.

        Raises:
            ServiceError: KEY_OF_TOKEN_FILE for the administrator's, whose token comes from a file.
        """
        ...

    async def revoke_key(self, key: str) -> None:
        """Revokes a key by id or name for good; every gateway refuses it within two seconds."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A message that a consumer group refused again and again."""

    topic: str
    """That it was for."""
    place: Place
    """In the topic of dead letters."""
    buried_at: datetime
    refusal: Refusal
    message: Message = dataclasses.field(repr=False)


class DeadLettersApi(Protocol):
    """Dead letters. Errors: TOPIC_NOT_EXIST, DEAD_LETTER_NOT_EXIST, INVALID_PLACE, BUS_UNAVAILABLE."""

    async def list_letters(self, *, topic: str = "", page_size: int = 0, page_token: str = "") -> Page[DeadLetter]:
        """Lists the letters of a topic, or of all; a page may be short and not be the last."""
        ...

    async def get_letter(self, topic: str, place: Place) -> DeadLetter:
        """Returns one letter."""
        ...

    async def replay_letter(self, topic: str, place: Place) -> None:
        """Publishes a letter to its topic again, and leaves it where it lies. Consumers know repeated events."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """A change that somebody asks for."""

    actor: str
    """Name of a key."""
    action: str
    """As in `RulesService/SwitchScanEngine`."""
    instance: str
    """As the caller named it; empty where the call names none."""
    subject: Mapping[str, str]
    """What else the call names; never a secret."""
    request_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord(Act):
    """An act as it was noted."""

    record_id: int
    at: datetime
    outcome: str
    """`OK`, or the reason of the refusal; empty while it runs, and when nobody knows how it ended."""


class AuditApi(Protocol):
    """Who changed what."""

    async def list_records(
        self, *, instance: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[AuditRecord]:
        """Lists records, newest first; of an instance, whatever it was called by, id or name."""
        ...
