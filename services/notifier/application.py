"""The notifier in process: targets."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.ids import Ids
from services.kernel.model import page
from services.kernel.model.page import Page, decode_token, encode_token
from services.notifier import grammar
from services.notifier.api import MAX_CHECKED_TARGETS, NewTarget, Target, TargetChange, TrialAnswer
from services.notifier.deliveries import Deliveries
from services.notifier.event_rules import EventRules
from services.notifier.store import NotifierStore
from services.notifier.subscription import Subscriptions
from services.notifier.subscription_store import SubscriptionStore
from services.notifier.targets import TargetSealer
from services.notifier.trial import Trial

log = structlog.get_logger()


class Notifier(Subscriptions, Deliveries, EventRules):
    """NotifierApi over PostgreSQL."""

    def __init__(
        self, *, pool: Pool, store: NotifierStore, sealer: TargetSealer, trial: Trial, ids: Ids, clock: Clock
    ) -> None:
        Subscriptions.__init__(self, pool, SubscriptionStore(), clock)
        Deliveries.__init__(self, pool, store, clock)
        EventRules.__init__(self, pool, clock, ids)
        self._pool = pool
        self._store = store
        self._sealer = sealer
        self._trial = trial
        self._clock = clock
        self._ids = ids

    async def create_target(self, new: NewTarget) -> Target:
        """Saves a target; the URL is checked, and its host looked up, not called."""
        target = await self._sealer.first(self._ids.named(grammar.TARGET_PREFIX), new)
        async with self._pool.acquire() as conn, conn.transaction():
            if not await self._store.insert_target(conn, target):
                raise _name_taken(new.name)
            await self._store.insert_robot(conn, target)
        log.info("target.created", target_id=target.target_id, kind=target.kind.value)
        return self._sealer.opened(target)

    async def update_target(self, target: str, change: TargetChange) -> Target:
        """Changes a target, given by id or name."""
        if not grammar.may_name_target(target):
            raise grammar.no_target(target)
        async with self._pool.acquire() as conn, conn.transaction():
            saved = await self._store.lock_target(conn, target)
            if saved is None:
                raise grammar.no_target(target)
            changed = await self._sealer.changed(saved, change)
            await self._store.update_target(conn, changed)
            await self._store.insert_robot(conn, changed)
        log.info("target.updated", target_id=changed.target_id)
        return self._sealer.opened(changed)

    async def send_test_notification(self, target: str) -> TrialAnswer:
        """Tells a target that this is a test: one attempt, which leaves no delivery."""
        found = None
        if grammar.may_name_target(target):
            async with self._pool.acquire() as conn:
                found = await self._store.find_target(conn, target)
        if found is None:
            raise grammar.no_target(target)
        return await self._trial.run(found)

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        """Lists targets by name."""
        size = page.page_size(page_size)
        (after,) = decode_token(page_token, "targets", length=1) or ("",)
        async with self._pool.acquire() as conn:
            found = await self._store.list_targets(conn, after=after, limit=size + 1)
        items = tuple(self._sealer.opened(target) for target in found[:size])
        more = encode_token((items[-1].name,), "targets") if len(found) > size else ""
        return Page(items=items, next_token=more)

    async def delete_target(self, target: str) -> None:
        """Deletes a target by id or name and ends what is under way to it."""
        if not grammar.may_name_target(target):
            raise grammar.no_target(target)
        async with self._pool.acquire() as conn, conn.transaction():
            # First the target, whose row waits for consumers that add deliveries; then all they added is seen.
            target_id = await self._store.delete_target(conn, target)
            if target_id is None:
                raise grammar.no_target(target)
            cancelled = await self._store.cancel_deliveries(conn, target_id, self._clock.now())
        log.info("target.deleted", target_id=target_id, cancelled=cancelled)

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Refuses ids that no target has."""
        if len(target_ids) > MAX_CHECKED_TARGETS:
            raise invalid(
                "TOO_MANY_TARGETS",
                f"At most {MAX_CHECKED_TARGETS} targets may be named, here are {len(target_ids)}.",
                field="target_ids",
            )
        known = [target for target in target_ids if grammar.may_name_target(target)]
        async with self._pool.acquire() as conn:
            existing = await self._store.existing_targets(conn, known)
        missing = sorted(set(target_ids) - existing)
        if missing:
            raise invalid(
                "TARGET_NOT_EXIST",
                f"There is no target {missing[0][:80]!r}.",
                field="target_ids",
                hint="`drydock target list` shows their ids.",
            )


def _name_taken(name: str) -> ServiceError:
    return ServiceError(
        Kind.ALREADY_EXISTS,
        "TARGET_ALREADY_EXIST",
        f"There is a target {name!r} already.",
        hint="Choose another name, or delete the old target first.",
        field="name",
    )
