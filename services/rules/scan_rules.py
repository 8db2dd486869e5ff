"""Scan rules: saved, listed, changed and deleted, each change under a new revision of its instance."""

from __future__ import annotations

import asyncpg
import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.ids import Ids
from services.kernel.model import page
from services.kernel.model.page import Page, decode_moment, encode_token
from services.rules import grammar, instances, refusals
from services.rules.api import Instance, NewScanRule, ScanRule, ScanType, Scope
from services.rules.runs.schedule import next_run
from services.rules.store import RulesStore
from services.rules.targets import TargetCheck

log = structlog.get_logger()

_PREFIX = "crscnr"
_EVERY_PUSH = NewScanRule(name="every push", scope=Scope.INSTANCE, tag_pattern=".*")
"""The rule that a new enterprise instance gets."""


class ScanRules:
    """The part of RulesApi that is about scan rules."""

    def __init__(
        self, *, pool: Pool, store: RulesStore, targets: TargetCheck, clock: Clock, ids: Ids, max_per_instance: int
    ) -> None:
        self._pool = pool
        self._store = store
        self._targets = targets
        self._clock = clock
        self._ids = ids
        self._max_rules = max_per_instance

    async def introduce(self, conn: Connection, instance: Instance) -> None:
        """Saves the rule "every push" of an instance that is being made."""
        await self._store.insert_rule(
            conn,
            rule_id=self._ids.named(_PREFIX),
            instance_id=instance.instance_id,
            new=_EVERY_PUSH,
            at=instance.created_at,
        )

    async def create(self, instance: str, new: NewScanRule) -> ScanRule:
        """Saves a rule; it counts for every event that is handled from now on."""
        checked, now = grammar.checked_rule(new), self._clock.now()
        async with self._pool.acquire() as conn:
            owner = (await instances.enterprise(conn, self._store, instance)).instance
        await self._targets.check(checked.target_ids)
        async with self._pool.acquire() as conn, conn.transaction():
            instance_id = await self._store.bump_revision(conn, owner.instance_id)
            if instance_id is None:  # deleted since we found it
                raise refusals.no_instance(instance)
            if await self._store.count_rules(conn, instance_id) >= self._max_rules:
                raise refusals.too_many_rules(self._max_rules)
            rule = await self._store.insert_rule(
                conn,
                rule_id=self._ids.named(_PREFIX),
                instance_id=instance_id,
                new=checked,
                at=now,
                next_run_at=next_run(checked.schedule, now),
            )
            if rule is None:
                raise refusals.rule_name_taken(checked.name)
        log.info("rule.created", rule_id=rule.rule_id, instance_id=instance_id)
        return rule

    async def get(self, rule_id: str) -> ScanRule:
        """Returns one rule."""
        async with self._pool.acquire() as conn:
            return await self._find(conn, rule_id)

    async def list(
        self, instance: str, *, scan_type: ScanType | None = None, page_size: int = 0, page_token: str = ""
    ) -> Page[ScanRule]:
        """Lists the rules of an instance, oldest first, with their total."""
        size = page.page_size(page_size)
        async with self._pool.acquire() as conn:
            owner = (await instances.find(conn, self._store, instance)).instance
            question = ("rules", owner.instance_id, scan_type)
            after = decode_moment(page_token, *question)
            total = await self._store.count_rules(conn, owner.instance_id, scan_type)
            found = await self._store.list_rules(
                conn, owner.instance_id, scan_type=scan_type, after=after, limit=size + 1
            )
        items = found[:size]
        more = ""
        if len(found) > size:
            more = encode_token((items[-1].created_at.isoformat(), items[-1].rule_id), *question)
        return Page(items=items, next_token=more, total=total)

    async def update(self, rule_id: str, new: NewScanRule) -> ScanRule:
        """Replaces a rule; its scan type stays, and so may targets that were deleted since it was saved."""
        checked, now = grammar.checked_rule(new), self._clock.now()
        following = next_run(checked.schedule, now)
        async with self._pool.acquire() as conn:
            known = await self._find(conn, rule_id)
            await instances.enterprise(conn, self._store, known.instance_id)
        await self._targets.check(set(checked.target_ids) - set(known.target_ids))
        async with self._pool.acquire() as conn:
            try:
                async with conn.transaction():
                    old = await self._find(conn, rule_id)
                    if checked.scan_type is not old.scan_type:
                        raise refusals.scan_type_immutable(old)
                    await self._store.bump_revision(conn, old.instance_id)
                    rule = await self._store.update_rule(conn, rule_id, checked, now, following)
                    if rule is None:  # deleted since we read it
                        raise refusals.no_rule(rule_id)
            except asyncpg.UniqueViolationError as error:
                raise refusals.rule_name_taken(checked.name) from error
        log.info("rule.updated", rule_id=rule_id, instance_id=rule.instance_id)
        return rule

    async def delete(self, rule_id: str) -> None:
        """Deletes a rule."""
        async with self._pool.acquire() as conn, conn.transaction():
            old = await self._find(conn, rule_id)
            await self._store.bump_revision(conn, old.instance_id)
            if not await self._store.delete_rule(conn, rule_id):
                raise refusals.no_rule(rule_id)
        log.info("rule.deleted", rule_id=rule_id, instance_id=old.instance_id)

    async def scannable(self, rule_id: str) -> ScanRule:
        """Returns one rule, of an instance whose images may be scanned."""
        async with self._pool.acquire() as conn:
            rule = await self._find(conn, rule_id)
            await instances.enterprise(conn, self._store, rule.instance_id)
        return rule

    async def _find(self, conn: Connection, rule_id: str) -> ScanRule:
        found = await self._store.get_rule(conn, rule_id) if grammar.may_be_id(rule_id) else None
        if found is None:
            raise refusals.no_rule(rule_id)
        return found
