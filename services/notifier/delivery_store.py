"""Deliveries as people look at them, and the dead ones once more: one method for each query."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.kernel import trace
from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.notifier.api import Attempt, Delivery, DeliveryFilter, DeliveryState

_Q = load_queries("services.notifier")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """News that waited for the end of a window."""

    event_id: str
    body: bytes = dataclasses.field(repr=False)
    due_at: datetime
    """The end of the window."""
    created_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unsent:
    """How much has not been told."""

    pending: int
    held: int
    dead: int
    questions: int
    overdue_seconds: float
    """Of the delivery that is due for the longest time; 0 when none is."""


class DeliveryStore:
    """Reads deliveries and their receipts."""

    async def deliveries(
        self, conn: Connection, wanted: DeliveryFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[Delivery, ...]:
        """Returns deliveries, newest first, after a position (creation, id); the target is named by its id."""
        place = (*(after or (None, None)), limit, wanted.target)
        times = (wanted.since, wanted.until)
        if wanted.state is DeliveryState.DEAD:
            rows = await conn.fetch(_Q["dead_deliveries"], *place, *times)
        else:
            state = wanted.state.value if wanted.state else ""
            rows = await conn.fetch(_Q["deliveries"], *place, state, *times)
        return tuple(map(_to_delivery, rows))

    async def delivery(self, conn: Connection, delivery_id: str) -> tuple[Delivery, bytes] | None:
        """Returns a delivery and what is sent."""
        row = await conn.fetchrow(_Q["delivery"], delivery_id)
        return (_to_delivery(row), row["body"]) if row else None

    async def attempts(self, conn: Connection, delivery_id: str, *, limit: int) -> tuple[Attempt, ...]:
        """Returns what became of the last attempts of a delivery, oldest first."""
        rows = await conn.fetch(_Q["receipts"], delivery_id, limit)
        return tuple(Attempt(**dict(row)) for row in reversed(rows))

    async def replay(self, conn: Connection, delivery: Delivery, at: datetime) -> bool:
        """Makes a dead delivery due again; False when it is not dead."""
        done = await conn.fetchval(_Q["replay"], delivery.target_id, delivery.delivery_id, at)
        return done is not None

    async def replay_of_target(self, conn: Connection, target_id: str, *, limit: int, at: datetime) -> int:
        """Makes the oldest dead deliveries to a target due again; returns how many."""
        return len(await conn.fetch(_Q["replay_of_target"], target_id, limit, at))

    async def window_target(self, conn: Connection) -> tuple[str, bool] | None:
        """Returns a target whose window is over while news wait for it, and whether it reads digests.

        Others are kept from closing it.
        """
        row = await conn.fetchrow(_Q["window_target"])
        return (row["target_id"], row["merges"]) if row else None

    async def held(self, conn: Connection, target_id: str, *, limit: int) -> tuple[Held, ...]:
        """Returns the oldest news of a target that waited for a window that is over."""
        rows = await conn.fetch(_Q["held"], target_id, limit)
        return tuple(
            Held(
                event_id=str(row["event_id"]),
                body=row["body"],
                due_at=row["due_at"],
                created_at=row["created_at"],
            )
            for row in rows
        )

    async def release(self, conn: Connection, target_id: str, event_id: str, at: datetime) -> None:
        """Makes news that waited due by itself."""
        await conn.execute(_Q["release_held"], target_id, event_id, at)

    async def merge(
        self, conn: Connection, target_id: str, event_ids: Sequence[str], told_in: str, at: datetime
    ) -> None:
        """Ends news that are told in another delivery."""
        await conn.execute(_Q["merge_held"], target_id, event_ids, told_in, at)

    async def backlog(self, conn: Connection) -> Unsent:
        """Returns how much waits."""
        [row] = await conn.fetch(_Q["backlog"])
        return Unsent(**dict(row))


def _to_delivery(row: asyncpg.Record) -> Delivery:
    state = DeliveryState(row["state"])
    return Delivery(
        delivery_id=str(row["delivery_id"]),
        target_id=row["target_id"],
        target=row["target"],
        event_id=str(row["event_id"]),
        event=row["event_type"],
        state=state,
        reason=row["reason"],
        message=row["message"],
        attempts=row["attempts"],
        replays=row["replays"],
        created_at=row["created_at"],
        due_at=row["due_at"] if state in (DeliveryState.PENDING, DeliveryState.HELD) else None,
        ended_at=row["finished_at"],
        told_in=str(row["told_in"] or ""),
        trace_id=trace.trace_id_of(row["traceparent"]),
    )
