"""Event rules: who is told of an instance's images, whatever scan rule asked for the scan."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Iterable, Iterator, Sequence

import asyncpg
import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.ids import Ids
from services.kernel.model.page import page_size
from services.kernel.model.reference import NO_NAMESPACE, is_repository
from services.kernel.tag_pattern import compile_pattern
from services.notifier.api import SCAN_COMPLETED, EventRecord, EventRecordFilter, EventRule
from services.notifier.event_store import EventStore, NewRecord
from services.notifier.events import ScanEvent
from services.notifier.filters import tag_matches
from services.notifier.grammar import may_name_target, no_target
from services.notifier.payload import delivery_id_of
from services.notifier.subscription_store import SubscriptionStore
from services.rules.api import Scope

log = structlog.get_logger()

RULE_PREFIX = "crecr"
RECORD_PREFIX = "crecrr"
MAX_RULES = 100
"""Of one instance: every event is held against all of them."""
_MAX_NAMES = 100
_RECORDS = uuid.UUID("0d0e7a36-19c4-5a0b-8f0a-3f2f6f5d8a21")
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
_INSTANCE_ID = re.compile(r"cri-[a-z0-9-]{1,60}")


class EventRules:
    """A part of NotifierApi."""

    def __init__(self, pool: Pool, clock: Clock, ids: Ids) -> None:
        self._event_pool = pool
        self._event_rules = EventStore()
        self._event_targets = SubscriptionStore()
        self._event_clock = clock
        self._event_ids = ids

    async def create_event_rule(self, rule: EventRule) -> EventRule:
        """Saves a rule."""
        check_rule(rule)
        now = self._event_clock.now()
        async with self._event_pool.acquire() as conn, conn.transaction():
            saved = dataclasses.replace(
                rule,
                rule_id=self._event_ids.named(RULE_PREFIX),
                target_id=await self._target_id(conn, rule.target_id),
                created_at=now,
                updated_at=now,
            )
            if await self._event_rules.count(conn, rule.instance_id) >= MAX_RULES:
                raise ServiceError(
                    Kind.FAILED_PRECONDITION,
                    "TOO_MANY_EVENT_RULES",
                    f"The instance has {MAX_RULES} event rules already.",
                    hint="Delete one, or widen one that is there.",
                )
            if not await self._event_rules.insert(conn, saved):
                raise _name_taken(rule.name)
        log.info("event_rule.created", rule_id=saved.rule_id, target_id=saved.target_id)
        return saved

    async def update_event_rule(self, rule: EventRule) -> EventRule:
        """Replaces a rule."""
        check_rule(rule)
        try:
            async with self._event_pool.acquire() as conn, conn.transaction():
                old = await self._rule(conn, rule.instance_id, rule.rule_id)
                saved = dataclasses.replace(
                    rule,
                    target_id=await self._target_id(conn, rule.target_id),
                    created_at=old.created_at,
                    updated_at=self._event_clock.now(),
                )
                if not await self._event_rules.update(conn, saved):
                    raise _no_rule(rule.rule_id)
        except asyncpg.UniqueViolationError as error:
            raise _name_taken(rule.name) from error
        log.info("event_rule.updated", rule_id=saved.rule_id, target_id=saved.target_id)
        return saved

    async def delete_event_rule(self, instance_id: str, rule_id: str) -> None:
        """Deletes a rule."""
        async with self._event_pool.acquire() as conn:
            await self._rule(conn, instance_id, rule_id)
            if not await self._event_rules.delete(conn, instance_id, rule_id):
                raise _no_rule(rule_id)
        log.info("event_rule.deleted", rule_id=rule_id)

    async def list_event_rules(self, instance_id: str) -> tuple[EventRule, ...]:
        """Lists the rules of an instance by name."""
        if not _INSTANCE_ID.fullmatch(instance_id):
            return ()
        async with self._event_pool.acquire() as conn:
            return await self._event_rules.rules(conn, [instance_id])

    async def list_event_records(
        self, wanted: EventRecordFilter, *, offset: int = 0, size: int = 0
    ) -> tuple[tuple[EventRecord, ...], int]:
        """Lists what rules of an instance had told, newest first."""
        if offset < 0:
            raise invalid("INVALID_OFFSET", "An offset cannot be negative.", field="offset")
        texts = (wanted.instance_id, wanted.rule_id, wanted.event_type, *wanted.namespaces, wanted.repository)
        if any("\0" in text for text in texts):
            return (), 0
        async with self._event_pool.acquire() as conn:
            return await self._event_rules.records(conn, wanted, offset=offset, limit=page_size(size))

    async def _rule(self, conn: Connection, instance_id: str, rule_id: str) -> EventRule:
        found = await self._event_rules.rule(conn, rule_id) if "\0" not in rule_id else None
        if found is None or found.instance_id != instance_id:
            raise _no_rule(rule_id)
        return found

    async def _target_id(self, conn: Connection, target: str) -> str:
        found = await self._event_targets.target_id(conn, target) if may_name_target(target) else None
        if found is None:
            raise no_target(target)
        return found


def matching(rules: Sequence[EventRule], event: ScanEvent) -> tuple[EventRule, ...]:
    """Returns the rules that have an event told."""
    return tuple(each for each in rules if each.instance_id == event.instance_id and _covers(each, event))


def records_of(rules: Iterable[EventRule], event: ScanEvent) -> Iterator[NewRecord]:
    """Yields what rules will have had told of an event."""
    return (
        NewRecord(
            record_id=f"{RECORD_PREFIX}-{uuid.uuid5(_RECORDS, f'{each.rule_id}|{event.event_id}').hex}",
            rule=each,
            event_id=event.event_id,
            delivery_id=delivery_id_of(event.event_id, each.target_id),
            namespace=event.namespace,
            repository=event.repository,
            tag=event.tag,
        )
        for each in rules
    )


def check_rule(rule: EventRule) -> None:
    """Checks what a caller says of a rule.

    Raises:
        ServiceError: INVALID_INSTANCE, INVALID_NAME, EVENT_TYPE_NOT_SUPPORTED, INVALID_SCOPE, INVALID_TAG_PATTERN.
    """
    if not _INSTANCE_ID.fullmatch(rule.instance_id):
        raise invalid("INVALID_INSTANCE", "The instance is named by its id.", field="instance_id")
    if not _NAME.fullmatch(rule.name):
        raise invalid("INVALID_NAME", "The name of an event rule has 1 to 128 characters.", field="name")
    if rule.event_type != SCAN_COMPLETED:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "EVENT_TYPE_NOT_SUPPORTED",
            f"Drydock has no events of the type {rule.event_type[:80]!r}.",
            hint=f"It has {SCAN_COMPLETED}.",
            field="event_type",
        )
    if rule.tag_pattern:
        compile_pattern(rule.tag_pattern)
    counts = len(rule.namespaces), len(rule.repo_names)
    fits = {
        Scope.INSTANCE: counts == (0, 0),
        Scope.NAMESPACE: 0 < counts[0] <= _MAX_NAMES and not counts[1],
        Scope.REPO: counts[0] == 1 and 0 < counts[1] <= _MAX_NAMES,
    }
    if not fits[rule.scope]:
        raise _bad_scope("INSTANCE names nothing, NAMESPACE its namespaces, REPO one namespace and repositories")
    for name in (*rule.namespaces, *rule.repo_names):
        if name != NO_NAMESPACE and not is_repository(name):
            raise _bad_scope(f"{name[:80]!r} is no name of a namespace or repository")


def _covers(rule: EventRule, event: ScanEvent) -> bool:
    if rule.namespaces and event.namespace not in rule.namespaces:
        return False
    if rule.repo_names and event.repository not in rule.repo_names:
        return False
    return tag_matches(rule.tag_pattern, event.tag)


def _bad_scope(why: str) -> ServiceError:
    return invalid("INVALID_SCOPE", f"The scope of the event rule cannot be used: {why}.", field="scope")


def _name_taken(name: str) -> ServiceError:
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "EVENT_RULE_ALREADY_EXIST",
        f"The instance has an event rule {name[:80]!r} already.",
        field="name",
    )


def _no_rule(rule_id: str) -> ServiceError:
    return not_found("EVENT_RULE_NOT_EXIST", f"The instance has no event rule {rule_id[:80]!r}.")
