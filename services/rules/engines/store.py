"""The SQL of engines: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from services.kernel.db import Connection
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.sql import load_queries
from services.rules.engines.api import Condition, ConditionType, PartHealth, Region, ScannerReport, Status

_Q = load_queries("services.rules")
_MAX_REGIONS = 1000

_PARTS = msgspec.json.Decoder(tuple[PartHealth, ...])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Authorization:
    """Who let an engine look into an instance's images."""

    actor: str
    at: datetime
    earlier: int
    """How many other instances had the engine authorized before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConditionCount:
    """How many instances that use an engine have a condition in a status."""

    engine: Engine
    type: ConditionType
    status: Status
    instances: int


class EngineStore:
    """Reads and writes what the schema `rules` has of engines."""

    async def list_regions(self, conn: Connection) -> tuple[Region, ...]:
        """Lists regions by name."""
        rows = await conn.fetch(_Q["list_regions"], _MAX_REGIONS)
        return tuple(Region(name=row["region"], instances=row["instances"]) for row in rows)

    async def set_engine(self, conn: Connection, instance_id: str, engine: Engine, at: datetime) -> bool:
        """Makes an engine the one that scans; False when the instance is gone."""
        return await conn.fetchval(_Q["set_engine"], instance_id, engine.value, at) is not None

    # conditions

    async def conditions(self, conn: Connection, instance_id: str) -> dict[ConditionType, Condition]:
        """Returns what was last found; words of a newer release are left out."""
        rows = await conn.fetch(_Q["conditions"], instance_id)
        known = {each.value for each in ConditionType}
        found = (
            Condition(
                type=ConditionType(row["type"]),
                status=Status(row["status"]),
                reason=row["reason"],
                message=row["message"],
                changed_at=row["changed_at"],
            )
            for row in rows
            if row["type"] in known
        )
        return {condition.type: condition for condition in found}

    async def save_conditions(self, conn: Connection, instance_id: str, found: Sequence[Condition]) -> None:
        """Saves conditions. Raises asyncpg.ForeignKeyViolationError when the instance is gone."""
        await conn.execute(
            _Q["save_conditions"],
            instance_id,
            [condition.type.value for condition in found],
            [condition.status.value for condition in found],
            [condition.reason for condition in found],
            [condition.message for condition in found],
            [condition.changed_at for condition in found],
        )

    async def count_conditions(self, conn: Connection) -> tuple[ConditionCount, ...]:
        """Counts instances by the engine that they use, condition and status."""
        known = {each.value for each in ConditionType}
        return tuple(
            ConditionCount(
                engine=Engine(row["engine"]),
                type=ConditionType(row["type"]),
                status=Status(row["status"]),
                instances=row["instances"],
            )
            for row in await conn.fetch(_Q["count_conditions"])
            if row["type"] in known
        )

    # authorizations

    async def authorize(
        self, conn: Connection, instance_id: str, engine: Engine, actor: str, at: datetime
    ) -> None:
        """Records who authorized an engine; the first one stays."""
        await conn.execute(_Q["authorize"], instance_id, engine.value, actor, at)

    async def authorizations(self, conn: Connection, instance_id: str) -> Mapping[Engine, Authorization]:
        """Returns who authorized which engine."""
        return {
            Engine(row["engine"]): Authorization(
                actor=row["actor"], at=row["authorized_at"], earlier=row["earlier"]
            )
            for row in await conn.fetch(_Q["authorizations"], instance_id)
        }

    async def count_authorized(self, conn: Connection, engine: Engine) -> int:
        """Counts the instances that have an engine authorized."""
        return int(await conn.fetchval(_Q["count_authorized"], engine.value))

    # scanners

    async def save_report(self, conn: Connection, report: ScannerReport, expires_at: datetime) -> None:
        """Keeps a report in place of the node's last one."""
        await conn.execute(
            _Q["save_report"], report.node_id, expires_at, msgspec.json.encode(report.parts).decode()
        )

    async def live_parts(self, conn: Connection, now: datetime) -> tuple[tuple[str, PartHealth], ...]:
        """Returns what scanners say that are not silent: node and part, by node."""
        return tuple(
            (row["node_id"], part)
            for row in await conn.fetch(_Q["live_reports"], now)
            for part in _PARTS.decode(row["parts"])
        )

    async def forget_reports(self, conn: Connection, before: datetime) -> None:
        """Deletes reports that expired before a moment."""
        await conn.execute(_Q["forget_reports"], before)

    # looking at registries

    async def claim_checks(
        self, conn: Connection, now: datetime, every_seconds: float, limit: int
    ) -> tuple[str, ...]:
        """Takes instances that are due; nobody else takes them before their next turn."""
        rows = await conn.fetch(_Q["claim_checks"], now, every_seconds, limit)
        return tuple(row["instance_id"] for row in rows)

    async def check_soon(self, conn: Connection, instance_id: str, at: datetime) -> None:
        """Makes an instance's registry due, and wakes whoever looks at registries when the transaction commits."""
        await conn.execute(_Q["check_soon"], instance_id, at)
        await conn.execute(_Q["announce_check"])

    async def is_pull_due(self, conn: Connection, instance_id: str, now: datetime) -> bool:
        """Tells whether an image is to be pulled again."""
        return bool(await conn.fetchval(_Q["pull_due"], instance_id, now))

    async def note_pull(self, conn: Connection, instance_id: str, next_at: datetime) -> None:
        """Notes when an image is to be pulled next."""
        await conn.execute(_Q["pulled"], instance_id, next_at)

    async def youngest_repositories(
        self, conn: Connection, instance_id: str, limit: int
    ) -> Iterable[RepositoryName]:
        """Returns the repositories that were seen last."""
        rows = await conn.fetch(_Q["youngest_repositories"], instance_id, limit)
        return tuple(RepositoryName(namespace=row["namespace"], name=row["name"]) for row in rows)
