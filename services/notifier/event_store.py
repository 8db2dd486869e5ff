"""Event rules and what they had told: one method for each query."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.notifier.api import EventRecord, EventRecordFilter, EventRule
from services.rules.api import Scope

_Q = load_queries("services.notifier")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NewRecord:
    """That a rule has something told."""

    record_id: str
    rule: EventRule
    event_id: str
    delivery_id: str
    namespace: str
    repository: str
    tag: str


class EventStore:
    """Reads and writes `notifier.event_rule` and `notifier.event_record`."""

    async def insert(self, conn: Connection, rule: EventRule) -> bool:
        """Saves a rule; False when its name is taken."""
        return await conn.fetchval(_Q["insert_event_rule"], *_values(rule), rule.created_at) is not None

    async def count(self, conn: Connection, instance_id: str) -> int:
        """Returns how many rules an instance has, and keeps others from adding one meanwhile."""
        count: int = await conn.fetchval(_Q["lock_event_rules"], instance_id)
        return count

    async def update(self, conn: Connection, rule: EventRule) -> bool:
        """Replaces a rule; False when there is none. Raises UniqueViolationError for a name that is taken."""
        return await conn.fetchval(_Q["update_event_rule"], *_values(rule), rule.updated_at) is not None

    async def delete(self, conn: Connection, instance_id: str, rule_id: str) -> bool:
        """Deletes a rule; False when there is none."""
        return await conn.fetchval(_Q["delete_event_rule"], instance_id, rule_id) is not None

    async def rule(self, conn: Connection, rule_id: str) -> EventRule | None:
        """Returns a rule."""
        row = await conn.fetchrow(_Q["event_rule"], rule_id)
        return _to_rule(row) if row else None

    async def rules(self, conn: Connection, instance_ids: Collection[str]) -> tuple[EventRule, ...]:
        """Returns the rules of instances, by name."""
        return tuple(map(_to_rule, await conn.fetch(_Q["event_rules"], sorted(instance_ids))))

    async def insert_records(self, conn: Connection, new: Sequence[NewRecord], at: datetime) -> None:
        """Adds records, each event once for each rule."""
        await conn.execute(
            _Q["insert_event_records"],
            [each.record_id for each in new],
            [each.rule.rule_id for each in new],
            [each.rule.name for each in new],
            [each.rule.instance_id for each in new],
            [each.rule.target_id for each in new],
            [each.event_id for each in new],
            [each.delivery_id for each in new],
            [each.rule.event_type for each in new],
            [each.namespace for each in new],
            [each.repository for each in new],
            [each.tag for each in new],
            at,
        )

    async def records(
        self, conn: Connection, wanted: EventRecordFilter, *, offset: int, limit: int
    ) -> tuple[tuple[EventRecord, ...], int]:
        """Returns a page of records, newest first, and how many there are in all."""
        asked = (wanted.instance_id, wanted.rule_id, wanted.event_type, wanted.namespaces, wanted.repository)
        total: int = await conn.fetchval(_Q["count_event_records"], *asked)
        rows = await conn.fetch(_Q["event_records"], *asked, offset, limit)
        return tuple(_to_record(row) for row in rows), total


def _values(rule: EventRule) -> tuple[object, ...]:
    return (
        rule.rule_id,
        rule.instance_id,
        rule.name,
        rule.event_type,
        rule.target_id,
        rule.scope.value,
        rule.namespaces,
        rule.repo_names,
        rule.tag_pattern,
    )


def _to_rule(row: asyncpg.Record) -> EventRule:
    values = dict(row)
    return EventRule(
        **{
            **values,
            "scope": Scope(row["scope"]),
            "namespaces": tuple(row["namespaces"]),
            "repo_names": tuple(row["repo_names"]),
        }
    )


def _to_record(row: asyncpg.Record) -> EventRecord:
    return EventRecord(**{**dict(row), "delivery_id": str(row["delivery_id"])})
