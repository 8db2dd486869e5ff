"""The SQL of the sync: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta

import asyncpg

from services.kernel.db import Connection
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.kernel.sql import load_queries
from services.rules.api import Edition, Sync, SyncState

_Q = load_queries("services.rules")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """The right to walk over an instance's registry until the lease ends; `fence` proves it."""

    instance_id: str
    fence: int
    number: int
    began_at: datetime
    place: Place
    repositories: int
    """Read so far."""
    pages: int
    """Of the catalogue, turned so far, from all its beginnings."""
    skipped: int
    """So far."""
    attempts: int
    """In vain so far, at this place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a walk has come."""

    catalogued: bool = False
    """Whether the catalogue is behind it: what is left are repositories that only we know of."""
    cursor: str = ""
    """The page of the catalogue, in the registry's words; empty for the first one."""
    repository: str = ""
    """Path of the last repository that is done: in the page, or of those that only we know of."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """What a step of a walk came by."""

    pages: int = 0
    """Of the catalogue."""
    repositories: int = 0
    tags: int = 0
    gone: int = 0
    skipped: int = 0
    reason: str = ""
    """Why something was skipped; empty otherwise."""
    message: str = ""


class SyncStore:
    """Reads and writes `rules.sync`, and marks of it on instances and repositories."""

    # what people say and see

    async def switch(self, conn: Connection, instance_id: str, *, on: bool) -> bool:
        """Switches a sync; False when it was so already."""
        if await conn.fetchval(_Q["switch_sync"], instance_id, on) is None:
            return False
        await conn.execute(_Q["begin_sync" if on else "end_sync"], instance_id)
        return True

    async def hasten(self, conn: Connection, instance_id: str) -> None:
        """Makes a walk due now that begins from now on."""
        await conn.execute(_Q["hasten_sync"], instance_id)

    async def announce(self, conn: Connection) -> None:
        """Wakes those who walk at the end of the transaction."""
        await conn.execute(_Q["announce_sync"])

    async def read(self, conn: Connection, instance_id: str) -> Sync | None:
        """Returns the sync of an instance; None when there is no such instance."""
        row = await conn.fetchrow(_Q["sync_of"], instance_id)
        return _to_sync(row) if row else None

    # walks

    async def claim(self, conn: Connection, lease_seconds: float) -> Walk | None:
        """Takes the walk that is longest due; None when none is."""
        row = await conn.fetchrow(_Q["claim_walk"], lease_seconds)
        return _to_walk(row) if row else None

    async def advance(
        self, conn: Connection, walk: Walk, place: Place, progress: Progress, lease_seconds: float
    ) -> bool:
        """Writes down how far a walk has come; False when its lease was lost."""
        held = await conn.fetchval(
            _Q["advance_walk"],
            walk.instance_id,
            walk.fence,
            lease_seconds,
            place.catalogued,
            place.cursor,
            place.repository,
            progress.repositories,
            progress.tags,
            progress.gone,
            progress.skipped,
            progress.reason,
            progress.message,
            progress.pages,
        )
        return held is not None

    async def keep(self, conn: Connection, walk: Walk, lease_seconds: float) -> bool:
        """Keeps the lease of a walk; False when it was lost."""
        return await conn.fetchval(_Q["keep_walk"], walk.instance_id, walk.fence, lease_seconds) is not None

    async def postpone(self, conn: Connection, walk: Walk, seconds: float, reason: str, message: str) -> bool:
        """Puts a walk off; False when its lease was lost."""
        held = await conn.fetchval(_Q["postpone_walk"], walk.instance_id, walk.fence, seconds, reason, message)
        return held is not None

    async def release(self, conn: Connection, walk: Walk) -> None:
        """Gives a walk back at once."""
        await conn.execute(_Q["release_walk"], walk.instance_id, walk.fence)

    async def pause(self, conn: Connection, walk: Walk) -> None:
        """Gives a walk back, behind all that is due now."""
        await conn.execute(_Q["pause_walk"], walk.instance_id, walk.fence)

    async def end(self, conn: Connection, walk: Walk, interval_seconds: float) -> timedelta | None:
        """Ends a walk and returns how long it lasted; None when its lease was lost."""
        lasted: timedelta | None = await conn.fetchval(
            _Q["end_walk"], walk.instance_id, walk.fence, interval_seconds
        )
        return lasted

    async def mark(self, conn: Connection, repo_id: str, number: int) -> None:
        """Writes down that a walk found a repository."""
        await conn.execute(_Q["mark_repository"], repo_id, number)

    async def orphan_rules(self, conn: Connection, instance_id: str, name: RepositoryName, at: datetime) -> None:
        """Begins the grace period of scheduled rules that a forgotten repository was the last one of."""
        await conn.execute(_Q["orphan_rules"], instance_id, name.namespace, name.name, at)

    async def walked(
        self, conn: Connection, walk: Walk, names: Sequence[RepositoryName]
    ) -> frozenset[RepositoryName]:
        """Returns those that the walk has found."""
        ids = {repository_id(walk.instance_id, name): name for name in names}
        rows = await conn.fetch(_Q["walked_repositories"], list(ids), walk.number)
        return frozenset(ids[row["repo_id"]] for row in rows)

    async def unwalked(
        self, conn: Connection, walk: Walk, after: RepositoryName | None, limit: int
    ) -> tuple[RepositoryName, ...]:
        """Returns repositories that the walk has not found, by namespace and name, those behind `after`."""
        position = (after.namespace, after.name) if after else ("", "")
        rows = await conn.fetch(_Q["unwalked_repositories"], walk.instance_id, walk.number, *position, limit)
        return tuple(RepositoryName(namespace=row["namespace"], name=row["name"]) for row in rows)


def _to_sync(row: asyncpg.Record) -> Sync:
    state = _state(row)
    if row["walk"] is None:
        return Sync(instance_id=row["instance_id"], on=row["sync"], state=state)
    return Sync(
        instance_id=row["instance_id"],
        on=row["sync"],
        state=state,
        walk=row["walk"],
        began_at=row["began_at"],
        ended_at=row["ended_at"],
        next_at=row["due_at"] if state in (SyncState.WAITING, SyncState.DELAYED) else None,
        repositories=row["repositories"],
        tags=row["tags"],
        repositories_gone=row["gone"],
        skipped=row["skipped"],
        reason=row["reason"],
        message=row["message"],
    )


def _state(row: asyncpg.Record) -> SyncState:
    if not row["sync"] or Edition(row["edition"]) is Edition.PERSONAL:
        return SyncState.OFF
    if row["leased"] or row["due"]:
        return SyncState.RUNNING
    return SyncState.WAITING if row["ended_at"] is not None else SyncState.DELAYED


def _to_walk(row: asyncpg.Record) -> Walk:
    return Walk(
        instance_id=row["instance_id"],
        fence=row["fence"],
        number=row["walk"],
        began_at=row["began_at"],
        place=Place(catalogued=row["catalogued"], cursor=row["cursor"], repository=row["repository"]),
        repositories=row["repositories"],
        pages=row["pages"],
        skipped=row["skipped"],
        attempts=row["attempts"],
    )
