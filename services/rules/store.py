"""All SQL of rules: one method for each query; transactions belong to the callers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.sql import load_queries
from services.rules.api import Edition, Instance, NewScanRule, Repository, ScanRule, ScanType, Scope, Trigger

_Q = load_queries("services.rules")

RepositoryKey = tuple[str, RepositoryName]
"""Instance id and name."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SealedInstance:
    """An instance with its password as it is kept."""

    instance: Instance
    sealed_password: bytes = dataclasses.field(repr=False)
    """Empty where there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """What the consumer must know of an instance."""

    edition: Edition
    engine: Engine
    rules_revision: int


class RulesStore:
    """Reads and writes the schema `rules`."""

    # instances

    async def insert_instance(self, conn: Connection, saved: SealedInstance) -> bool:
        """Saves an instance; False when its name is taken."""
        instance = saved.instance
        row = await conn.fetchval(
            _Q["insert_instance"],
            instance.instance_id,
            instance.name,
            instance.edition.value,
            instance.region,
            instance.address,
            instance.private_address,
            instance.plain_http,
            instance.username,
            saved.sealed_password,
            instance.engine.value,
            instance.created_at,
        )
        return row is not None

    async def find_instance(self, conn: Connection, instance: str) -> SealedInstance | None:
        """Returns an instance by id or name."""
        row = await conn.fetchrow(_Q["find_instance"], instance)
        return _to_sealed(row) if row else None

    async def lock_instance(self, conn: Connection, instance: str) -> SealedInstance | None:
        """Returns an instance by id or name and holds it to the end of the transaction."""
        row = await conn.fetchrow(_Q["lock_instance"], instance)
        return _to_sealed(row) if row else None

    async def list_instances(
        self, conn: Connection, *, after: str, region: str, limit: int
    ) -> tuple[Instance, ...]:
        """Lists instances by name, those behind `after`."""
        rows = await conn.fetch(_Q["list_instances"], after, region, limit)
        return tuple(_to_instance(row) for row in rows)

    async def update_instance(self, conn: Connection, saved: SealedInstance) -> None:
        """Writes all that may change. Raises asyncpg.UniqueViolationError when the name is taken."""
        instance = saved.instance
        await conn.execute(
            _Q["update_instance"],
            instance.instance_id,
            instance.name,
            instance.edition.value,
            instance.region,
            instance.address,
            instance.private_address,
            instance.plain_http,
            instance.username,
            saved.sealed_password,
            instance.updated_at,
        )

    async def delete_instance(self, conn: Connection, instance: str) -> str | None:
        """Deletes an instance by id or name, with all that belongs to it; returns its id, None without one."""
        instance_id: str | None = await conn.fetchval(_Q["delete_instance"], instance)
        return instance_id

    async def bump_revision(self, conn: Connection, instance: str) -> str | None:
        """Marks the rules of an instance as changed; returns its id, None when there is none."""
        instance_id: str | None = await conn.fetchval(_Q["bump_revision"], instance)
        return instance_id

    async def scan_settings(self, conn: Connection, instance_ids: Iterable[str]) -> dict[str, ScanSettings]:
        """Returns the settings of those instances that exist, and keeps them from being deleted meanwhile."""
        rows = await conn.fetch(_Q["scan_settings"], sorted(instance_ids))
        return {
            row["instance_id"]: ScanSettings(
                edition=Edition(row["edition"]),
                engine=Engine(row["engine"]),
                rules_revision=row["rules_revision"],
            )
            for row in rows
        }

    # repositories

    async def get_repository(self, conn: Connection, instance_id: str, repo_id: str) -> Repository | None:
        """Returns one repository."""
        row = await conn.fetchrow(_Q["get_repository"], instance_id, repo_id)
        return _to_repository(row) if row else None

    async def find_repositories(
        self, conn: Connection, keys: Sequence[RepositoryKey]
    ) -> dict[RepositoryKey, Repository]:
        """Returns those repositories that are known."""
        rows = await conn.fetch(_Q["find_repositories"], *_columns(keys))
        found = (_to_repository(row) for row in rows)
        return {(r.instance_id, RepositoryName(namespace=r.namespace, name=r.name)): r for r in found}

    async def insert_repositories(
        self, conn: Connection, repo_ids: Sequence[str], keys: Sequence[RepositoryKey], at: datetime
    ) -> None:
        """Saves repositories under the given ids; those that somebody else saved meanwhile keep theirs."""
        await conn.execute(_Q["insert_repositories"], list(repo_ids), *_columns(keys), at)

    async def list_repositories(
        self, conn: Connection, instance_id: str, *, namespace: str, after: tuple[str, str], limit: int
    ) -> tuple[Repository, ...]:
        """Lists repositories by namespace and name, those behind `after`."""
        rows = await conn.fetch(_Q["list_repositories"], instance_id, namespace, *after, limit)
        return tuple(_to_repository(row) for row in rows)

    async def forget_repositories(self, conn: Connection, keys: Sequence[RepositoryKey]) -> int:
        """Forgets repositories; returns how many of them were known."""
        return len(await conn.fetch(_Q["forget_repositories"], *_columns(keys)))

    # rules

    async def insert_rule(
        self,
        conn: Connection,
        *,
        rule_id: str,
        instance_id: str,
        new: NewScanRule,
        at: datetime,
        next_run_at: datetime | None = None,
    ) -> ScanRule | None:
        """Saves a rule; None when the instance has one of that name."""
        row = await conn.fetchrow(
            _Q["insert_rule"],
            rule_id,
            instance_id,
            new.name,
            new.scope.value,
            list(new.namespaces),
            list(new.repo_names),
            new.tag_pattern,
            new.trigger.value,
            new.scan_type.value,
            list(new.target_ids),
            at,
            new.schedule,
            next_run_at,
        )
        return to_rule(row) if row else None

    async def get_rule(self, conn: Connection, rule_id: str) -> ScanRule | None:
        """Returns one rule."""
        row = await conn.fetchrow(_Q["get_rule"], rule_id)
        return to_rule(row) if row else None

    async def list_rules(
        self,
        conn: Connection,
        instance_id: str,
        *,
        scan_type: ScanType | None,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> tuple[ScanRule, ...]:
        """Lists rules, oldest first, those behind `after`."""
        moment, rule_id = after or (None, None)
        kind = scan_type.value if scan_type else None
        rows = await conn.fetch(_Q["list_rules"], instance_id, kind, moment, rule_id, limit)
        return tuple(to_rule(row) for row in rows)

    async def count_rules(self, conn: Connection, instance_id: str, scan_type: ScanType | None = None) -> int:
        """Counts the rules of a type, or all."""
        return int(await conn.fetchval(_Q["count_rules"], instance_id, scan_type.value if scan_type else None))

    async def automatic_rules(self, conn: Connection, instance_id: str) -> tuple[ScanRule, ...]:
        """Returns every AUTO rule of an instance, oldest first."""
        return tuple(to_rule(row) for row in await conn.fetch(_Q["automatic_rules"], instance_id))

    async def update_rule(
        self, conn: Connection, rule_id: str, new: NewScanRule, at: datetime, next_run_at: datetime | None
    ) -> ScanRule | None:
        """Replaces all but the scan type; a schedule that stays keeps its next time.

        Raises:
            asyncpg.UniqueViolationError: the name is taken.
        """
        row = await conn.fetchrow(
            _Q["update_rule"],
            rule_id,
            new.name,
            new.scope.value,
            list(new.namespaces),
            list(new.repo_names),
            new.tag_pattern,
            new.trigger.value,
            list(new.target_ids),
            at,
            new.schedule,
            next_run_at,
        )
        return to_rule(row) if row else None

    async def delete_rule(self, conn: Connection, rule_id: str) -> bool:
        """Deletes a rule; False when there is none."""
        return await conn.fetchval(_Q["delete_rule"], rule_id) is not None

    # events

    async def take_events(self, conn: Connection, event_ids: Iterable[str], at: datetime) -> frozenset[str]:
        """Remembers events; returns those that were not known."""
        rows = await conn.fetch(_Q["take_events"], sorted(set(event_ids)), at)
        return frozenset(str(row["event_id"]) for row in rows)


def _columns(keys: Sequence[RepositoryKey]) -> tuple[list[str], list[str], list[str]]:
    return [key[0] for key in keys], [key[1].namespace for key in keys], [key[1].name for key in keys]


def _to_sealed(row: asyncpg.Record) -> SealedInstance:
    return SealedInstance(instance=_to_instance(row), sealed_password=row["sealed_password"])


def _to_instance(row: asyncpg.Record) -> Instance:
    return Instance(
        instance_id=row["instance_id"],
        name=row["name"],
        edition=Edition(row["edition"]),
        region=row["region"],
        address=row["address"],
        private_address=row["private_address"],
        plain_http=row["plain_http"],
        username=row["username"],
        engine=Engine(row["engine"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        sync=row["sync"],
    )


def _to_repository(row: asyncpg.Record) -> Repository:
    return Repository(
        repo_id=row["repo_id"],
        instance_id=row["instance_id"],
        namespace=row["namespace"],
        name=row["name"],
        created_at=row["created_at"],
    )


def to_rule(row: asyncpg.Record) -> ScanRule:
    """Reads a row of `rules.scan_rule`."""
    return ScanRule(
        rule_id=row["rule_id"],
        instance_id=row["instance_id"],
        name=row["name"],
        scope=Scope(row["scope"]),
        namespaces=tuple(row["namespaces"]),
        repo_names=tuple(row["repo_names"]),
        tag_pattern=row["tag_pattern"],
        trigger=Trigger(row["trigger"]),
        scan_type=ScanType(row["scan_type"]),
        target_ids=tuple(row["target_ids"]),
        schedule=row["schedule"],
        next_run_at=row["next_run_at"],
        last_run_id=str(row["last_run_id"] or ""),
        skipped=row["skipped"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
