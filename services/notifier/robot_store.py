"""All SQL of chat robots: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import dataclasses

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.notifier.api import TargetKind
from services.notifier.records import Claim
from services.notifier.store import NotifierStore

_Q = load_queries("services.notifier")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How a robot that one holds was called lately."""

    taken: int
    free_in: float
    """Seconds until the first place is free; 0 when none is taken."""
    since_last: float | None
    """Seconds since the last place was taken; None when none is."""


class RobotStore:
    """Robots and calls; what is to be told stays with the store of deliveries."""

    def __init__(self, deliveries: NotifierStore) -> None:
        self._deliveries = deliveries

    async def lock_due(self, conn: Connection, limit: int) -> tuple[tuple[bytes, TargetKind], ...]:
        """Locks robots that may be called and have something to be told; others' locks are passed over."""
        rows = await conn.fetch(_Q["lock_due_robots"], limit)
        return tuple((row["robot"], TargetKind(row["kind"])) for row in rows)

    async def lock(self, conn: Connection, robot: bytes) -> float | None:
        """Locks a robot and returns how many seconds it rests yet; None when there is none."""
        resting: float | None = await conn.fetchval(_Q["lock_robot"], robot)
        return resting

    async def places(self, conn: Connection, robot: bytes) -> Places:
        """Tells how a locked robot was called lately."""
        row = await conn.fetchrow(_Q["places_of_robot"], robot)
        if row is None or not row["taken"]:
            return Places(taken=0, free_in=0.0, since_last=None)
        return Places(taken=row["taken"], free_in=row["free_in"], since_last=row["since_last"])

    async def lease(
        self, conn: Connection, robot: bytes, *, owner: str, lease_seconds: float, most: int
    ) -> tuple[Claim, ...]:
        """Leases at most so many deliveries to one target of a locked robot, oldest first."""
        rows = await conn.fetch(_Q["lease_for_robot"], robot, owner, lease_seconds, most)
        return await self._deliveries.claims(conn, rows)

    async def take_place(self, conn: Connection, robot: bytes, call_id: str, seconds: float) -> None:
        """Takes a place for a call, at most for so long."""
        await conn.execute(_Q["forget_calls"], robot)
        await conn.execute(_Q["take_place"], call_id, robot, seconds)

    async def end_call(self, conn: Connection, call_id: str, window_seconds: float) -> None:
        """Says that a call has ended just now."""
        await conn.execute(_Q["end_call"], call_id, window_seconds)

    async def rest(self, conn: Connection, robot: bytes, seconds: float) -> None:
        """Lets a robot rest, at least for so long."""
        await conn.execute(_Q["rest_robot"], robot, seconds)

    async def release(self, conn: Connection, claim: Claim) -> None:
        """Gives back a lease that was not used."""
        await conn.execute(_Q["release"], claim.target_id, claim.event_id, claim.fence)

    async def part(self, conn: Connection, claim: Claim) -> None:
        """Lets a notification go by itself from now on."""
        await conn.execute(_Q["part"], claim.target_id, claim.event_id, claim.fence)
