"""All SQL of the notifier: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.notifier.api import Format, TargetKind
from services.notifier.backoff import Dead
from services.notifier.records import Claim, NewDelivery, Receipt, SealedTarget

_Q = load_queries("services.notifier")


class NotifierStore:
    """Reads and writes the schema `notifier`."""

    # targets

    async def insert_target(self, conn: Connection, target: SealedTarget) -> bool:
        """Saves a target; False when its name is taken."""
        row = await conn.fetchval(
            _Q["insert_target"],
            target.target_id,
            target.name,
            target.kind.value,
            target.sealed_url,
            target.sealed_secret,
            target.format.value,
            target.ca_certificates,
            target.robot,
            target.created_at,
        )
        return row is not None

    async def insert_robot(self, conn: Connection, target: SealedTarget) -> None:
        """Makes sure that there is a row for the robot of a target, if it writes to one."""
        if target.robot is not None:
            await conn.execute(_Q["insert_robot"], target.robot)

    async def find_target(self, conn: Connection, target: str) -> SealedTarget | None:
        """Reads a target by id or name; None when there is none."""
        row = await conn.fetchrow(_Q["find_target"], target)
        return None if row is None else _to_target(row)

    async def lock_target(self, conn: Connection, target: str) -> SealedTarget | None:
        """Reads a target by id or name, and keeps others from changing it meanwhile; None when there is none."""
        row = await conn.fetchrow(_Q["lock_target"], target)
        return None if row is None else _to_target(row)

    async def update_target(self, conn: Connection, target: SealedTarget) -> None:
        """Writes what may change of a target."""
        await conn.execute(
            _Q["update_target"],
            target.target_id,
            target.sealed_url,
            target.sealed_secret,
            target.sealed_old_secret,
            target.old_secret_until,
            target.format.value,
            target.ca_certificates,
            target.robot,
        )

    async def list_targets(self, conn: Connection, *, after: str, limit: int) -> tuple[SealedTarget, ...]:
        """Lists targets by name, those behind `after`."""
        return tuple(_to_target(row) for row in await conn.fetch(_Q["list_targets"], after, limit))

    async def existing_targets(self, conn: Connection, target_ids: Iterable[str]) -> frozenset[str]:
        """Returns which of the targets exist just now."""
        rows = await conn.fetch(_Q["existing_targets"], sorted(set(target_ids)))
        return frozenset(row["target_id"] for row in rows)

    async def lock_plain_urls(self, conn: Connection, *, limit: int) -> tuple[tuple[str, str], ...]:
        """Returns ids and URLs of targets that are not sealed yet, and keeps other copies from them."""
        rows = await conn.fetch(_Q["lock_plain_urls"], limit)
        return tuple((row["target_id"], row["url"]) for row in rows)

    async def seal_url(self, conn: Connection, target_id: str, sealed_url: bytes) -> None:
        """Puts the sealed URL of a target in the place of the plain one."""
        await conn.execute(_Q["seal_url"], target_id, sealed_url)

    async def delete_target(self, conn: Connection, target: str) -> str | None:
        """Deletes a target by id or name; returns its id, None when there is none."""
        target_id: str | None = await conn.fetchval(_Q["delete_target"], target)
        return target_id

    async def cancel_deliveries(self, conn: Connection, target_id: str, at: datetime) -> int:
        """Ends what is under way to a target; returns how many deliveries that were."""
        return _count(await conn.execute(_Q["cancel_deliveries"], target_id, at))

    async def living_targets(self, conn: Connection, target_ids: Iterable[str]) -> frozenset[str]:
        """Returns which of the targets exist, and keeps them from being deleted meanwhile."""
        rows = await conn.fetch(_Q["living_targets"], sorted(set(target_ids)))
        return frozenset(row["target_id"] for row in rows)

    # deliveries

    async def insert_deliveries(
        self, conn: Connection, new: Sequence[NewDelivery], at: datetime
    ) -> frozenset[str]:
        """Adds deliveries, each (target, event) once; returns the ids of new ones."""
        rows = await conn.fetch(
            _Q["insert_deliveries"],
            [delivery.target_id for delivery in new],
            [delivery.event_id for delivery in new],
            [delivery.delivery_id for delivery in new],
            [delivery.news.value for delivery in new],
            [delivery.body for delivery in new],
            at,
            [delivery.traceparent for delivery in new],
            [delivery.window_seconds for delivery in new],
        )
        return frozenset(str(row["delivery_id"]) for row in rows)

    async def wake_workers(self, conn: Connection) -> None:
        """Tells workers, at commit, that there is something to deliver."""
        await conn.execute(_Q["wake_workers"])

    async def claim(
        self,
        conn: Connection,
        *,
        owner: str,
        lease_seconds: float,
        per_target: int,
        limit: int,
        slow_limit: int,
    ) -> tuple[Claim, ...]:
        """Leases at most `limit` due deliveries, at most `per_target` under way to each target.

        Slow targets get one each, and at most `slow_limit` together.
        """
        rows = await conn.fetch(_Q["claim"], owner, lease_seconds, per_target, limit, slow_limit)
        return await self.claims(conn, rows)

    async def mark_slow(self, conn: Connection, target_id: str, *, slow: bool) -> None:
        """Says whether the last attempt to a target took long."""
        await conn.execute(_Q["mark_slow"], target_id, slow)

    async def claims(self, conn: Connection, rows: Sequence[asyncpg.Record]) -> tuple[Claim, ...]:
        """Reads leased rows, with their targets, in their order."""
        if not rows:
            return ()
        found = await conn.fetch(_Q["targets_of"], sorted({row["target_id"] for row in rows}))
        targets = {row["target_id"]: _to_target(row) for row in found}
        return tuple(_to_claim(row, targets[row["target_id"]]) for row in rows)

    async def finish(self, conn: Connection, claim: Claim, state: str, dead: Dead | None, at: datetime) -> bool:
        """Ends a delivery; False when the lease has passed to somebody else."""
        reason, message = (dead.reason, dead.message) if dead else ("", "")
        row = await conn.fetchval(
            _Q["finish"], claim.target_id, claim.event_id, claim.fence, state, reason, message, at
        )
        return row is not None

    async def postpone(
        self, conn: Connection, claim: Claim, pause_seconds: float, reason: str, message: str
    ) -> bool:
        """Gives the lease back for so long; False when it has passed to somebody else."""
        row = await conn.fetchval(
            _Q["postpone"], claim.target_id, claim.event_id, claim.fence, pause_seconds, reason, message
        )
        return row is not None

    async def insert_receipt(self, conn: Connection, receipt: Receipt) -> None:
        """Adds a receipt."""
        await conn.execute(
            _Q["insert_receipt"],
            receipt.delivery_id,
            receipt.target_id,
            receipt.event_id,
            receipt.attempt,
            receipt.outcome,
            receipt.reason,
            receipt.message,
            receipt.http_status,
            receipt.milliseconds,
            receipt.excerpt,
            receipt.created_at,
        )


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _to_target(row: asyncpg.Record) -> SealedTarget:
    return SealedTarget(
        target_id=row["target_id"],
        name=row["name"],
        kind=TargetKind(row["kind"]),
        sealed_url=row["sealed_url"],
        sealed_secret=row["sealed_secret"],
        sealed_old_secret=row["sealed_old_secret"],
        old_secret_until=row["old_secret_until"],
        format=Format(row["format"]),
        ca_certificates=row["ca_certificates"],
        robot=row["robot"],
        slow=row["slow"],
        created_at=row["created_at"],
    )


def _to_claim(row: asyncpg.Record, target: SealedTarget) -> Claim:
    return Claim(
        target=target,
        event_id=str(row["event_id"]),
        delivery_id=str(row["delivery_id"]),
        attempt=row["attempts"],
        fence=row["fence"],
        created_at=row["created_at"],
        lost=row["lost"],
        traceparent=row["traceparent"],
        event_type=row["event_type"],
        body=row["body"],
    )
