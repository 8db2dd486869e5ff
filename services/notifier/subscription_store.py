"""What targets are told of, and what must be asked before: one method for each query."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.model.severity import Severity
from services.kernel.sql import load_queries
from services.notifier.api import Occasion, Subscription

_Q = load_queries("services.notifier")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewInquiry:
    """An event of which the scanner is to be asked."""

    event_id: str
    target_ids: tuple[str, ...]
    """Those that wait for the answer."""
    event: bytes = dataclasses.field(repr=False)
    """As it came."""
    traceparent: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Inquiry:
    """A question under lease."""

    event_id: str
    target_ids: tuple[str, ...]
    event: bytes = dataclasses.field(repr=False)
    traceparent: str
    attempts: int
    """This one included."""
    age_seconds: float


class SubscriptionStore:
    """Reads and writes `notifier.subscription` and `notifier.inquiry`."""

    async def target_id(self, conn: Connection, target: str) -> str | None:
        """Returns the id of a target that is named by id or name."""
        found: str | None = await conn.fetchval(_Q["target_of"], target)
        return found

    async def subscriptions(self, conn: Connection, target_ids: Collection[str]) -> Mapping[str, Subscription]:
        """Returns what targets are told of, as far as they were given anything."""
        rows = await conn.fetch(_Q["subscriptions"], sorted(target_ids))
        return {row["target_id"]: _to_subscription(row) for row in rows}

    async def set_subscription(
        self, conn: Connection, target_id: str, subscription: Subscription, at: datetime
    ) -> None:
        """Replaces what a target is told of."""
        await conn.execute(
            _Q["set_subscription"],
            target_id,
            sorted(each.value for each in subscription.occasions),
            subscription.min_severity.value,
            subscription.new_only,
            subscription.instances,
            subscription.namespaces,
            subscription.repositories,
            subscription.tag_pattern,
            subscription.window_seconds,
            at,
        )

    async def insert_inquiries(self, conn: Connection, new: Sequence[NewInquiry]) -> frozenset[str]:
        """Adds questions, each event once; returns the events of new ones."""
        rows = await conn.fetch(
            _Q["insert_inquiries"],
            [each.event_id for each in new],
            [",".join(each.target_ids) for each in new],
            [each.event for each in new],
            [each.traceparent for each in new],
        )
        return frozenset(str(row["event_id"]) for row in rows)

    async def wake(self, conn: Connection, channel: str) -> None:
        """Tells, at commit, those who wait on a channel."""
        await conn.execute(_Q["wake"], channel)

    async def claim_inquiries(self, conn: Connection, *, lease_seconds: float, limit: int) -> tuple[Inquiry, ...]:
        """Leases at most `limit` questions."""
        rows = await conn.fetch(_Q["claim_inquiries"], lease_seconds, limit)
        return tuple(_to_inquiry(row) for row in rows)

    async def postpone_inquiry(self, conn: Connection, event_id: str, seconds: float) -> None:
        """Gives a question back for so long."""
        await conn.execute(_Q["postpone_inquiry"], event_id, seconds)

    async def end_inquiry(self, conn: Connection, event_id: str, at: datetime, answer: str) -> bool:
        """Ends a question; False when somebody else has."""
        return await conn.fetchval(_Q["end_inquiry"], event_id, at, answer) is not None


def _to_subscription(row: asyncpg.Record) -> Subscription:
    return Subscription(
        occasions=frozenset(map(Occasion, row["occasions"])),
        min_severity=Severity(row["min_severity"]),
        new_only=row["new_only"],
        instances=tuple(row["instances"]),
        namespaces=tuple(row["namespaces"]),
        repositories=tuple(row["repositories"]),
        tag_pattern=row["tag_pattern"],
        window_seconds=row["window_seconds"],
    )


def _to_inquiry(row: asyncpg.Record) -> Inquiry:
    return Inquiry(
        event_id=str(row["event_id"]),
        target_ids=tuple(row["target_ids"]),
        event=row["event"],
        traceparent=row["traceparent"],
        attempts=row["attempts"],
        age_seconds=row["age_seconds"],
    )
