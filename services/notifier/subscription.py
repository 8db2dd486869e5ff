"""What targets are told of: the checks of what a caller says, and where it is kept."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.reference import NO_NAMESPACE, is_repository
from services.kernel.tag_pattern import compile_pattern
from services.notifier.api import Occasion, Subscription
from services.notifier.grammar import may_name_target, no_target
from services.notifier.subscription_store import SubscriptionStore

log = structlog.get_logger()

MAX_NAMES = 100
"""Of instances, namespaces or repositories that one target may name."""
LONGEST_WINDOW_SECONDS = 7 * 86_400
SHORTEST_WINDOW_SECONDS = 10
_INSTANCE_ID = re.compile(r"cri-[a-z0-9-]{1,60}")
_OF_FINDINGS = frozenset({Occasion.FINDINGS, Occasion.MALICIOUS_SAMPLE})


class Subscriptions:
    """A part of NotifierApi."""

    def __init__(self, pool: Pool, store: SubscriptionStore, clock: Clock) -> None:
        self._told_pool = pool
        self._told_store = store
        self._told_clock = clock

    async def get_subscription(self, target: str) -> Subscription:
        """Returns what a target is told of."""
        async with self._told_pool.acquire() as conn:
            target_id = await self._target_id(conn, target)
            return (await self._told_store.subscriptions(conn, [target_id])).get(target_id, Subscription())

    async def set_subscription(self, target: str, subscription: Subscription) -> Subscription:
        """Replaces what a target is told of."""
        check_subscription(subscription)
        async with self._told_pool.acquire() as conn, conn.transaction():
            target_id = await self._target_id(conn, target)
            await self._told_store.set_subscription(conn, target_id, subscription, self._told_clock.now())
        log.info("target.subscribed", target_id=target_id, window_seconds=subscription.window_seconds)
        return subscription

    async def _target_id(self, conn: Connection, target: str) -> str:
        found = await self._told_store.target_id(conn, target) if may_name_target(target) else None
        if found is None:
            raise no_target(target)
        return found


def check_subscription(subscription: Subscription) -> None:
    """Checks what a target is to be told of.

    Raises:
        ServiceError: INVALID_SUBSCRIPTION, INVALID_TAG_PATTERN.
    """
    if not subscription.occasions:
        raise _bad("it names no occasion", "occasions")
    if subscription.new_only and not subscription.occasions & _OF_FINDINGS:
        raise _bad("only findings and malicious samples can be new", "new_only")
    if subscription.tag_pattern:
        compile_pattern(subscription.tag_pattern)
    window = subscription.window_seconds
    if window and not SHORTEST_WINDOW_SECONDS <= window <= LONGEST_WINDOW_SECONDS:
        raise _bad(
            f"a window lasts {SHORTEST_WINDOW_SECONDS} to {LONGEST_WINDOW_SECONDS} seconds", "window_seconds"
        )
    _check_names(subscription.instances, "instances", lambda name: _INSTANCE_ID.fullmatch(name) is not None)
    _check_names(subscription.repositories, "repositories", is_repository)
    _check_names(subscription.namespaces, "namespaces", lambda name: name == NO_NAMESPACE or is_repository(name))


def _check_names(names: Collection[str], field: str, may_be: Callable[[str], bool]) -> None:
    if len(names) > MAX_NAMES:
        raise _bad(f"at most {MAX_NAMES} {field} may be named", field)
    for name in names:
        if not may_be(name):
            raise _bad(f"{name[:80]!r} is none of the {field}", field)


def _bad(why: str, field: str) -> ServiceError:
    return invalid("INVALID_SUBSCRIPTION", f"A target cannot be told so: {why}.", field=field)
