"""What the store of runs returns."""

from __future__ import annotations

import dataclasses

from services.kernel.model.digest import Digest
from services.rules.api import RunState, Scope


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """Which repositories and tags a run is about: the rule's words as they were when it began."""

    scope: Scope
    namespaces: tuple[str, ...]
    tag_pattern: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LeasedRun:
    """The right to ask for a run until the heartbeat stops; `fence` proves it."""

    run_id: str
    fence: int
    rule_id: str
    instance_id: str
    reach: Reach
    target_ids: tuple[str, ...]
    traceparent: str
    attempts: int
    """In vain, one after the other, before this one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How the asking ended."""

    state: RunState
    reason: str = ""
    message: str = ""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far the catalogue was read."""

    cursor: str
    read: bool
    pages: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRepository:
    """A repository whose tags are to be read, from a cursor on."""

    path: str
    cursor: str
    pages: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitingTag:
    """A tag whose digest is to be asked for."""

    path: str
    tag: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """A tag and what the registry has under it."""

    path: str
    tag: str
    digest: Digest
