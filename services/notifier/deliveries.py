"""Deliveries: listed, inspected, and the dead ones replayed."""

from __future__ import annotations

import dataclasses
import uuid

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model import page
from services.kernel.model.page import Page
from services.notifier.api import Delivery, DeliveryAccount, DeliveryFilter, DeliveryState
from services.notifier.delivery_store import DeliveryStore
from services.notifier.grammar import TARGET_PREFIX, may_name_target, no_target
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import SubscriptionStore

log = structlog.get_logger()

MOST_ATTEMPTS = 1000
MOST_REPLAYED = 1000
"""Dead deliveries that one call makes due again."""


class Deliveries:
    """A part of NotifierApi."""

    def __init__(self, pool: Pool, store: NotifierStore, clock: Clock) -> None:
        self._account_pool = pool
        self._targets = store
        self._names = SubscriptionStore()
        self._account = DeliveryStore()
        self._account_clock = clock

    async def list_deliveries(
        self, wanted: DeliveryFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Delivery]:
        """Lists deliveries, newest first."""
        size = page.page_size(page_size)
        wanted = wanted or DeliveryFilter()
        after = page.decode_moment(page_token, wanted, is_uuid=True)
        async with self._account_pool.acquire() as conn:
            chosen = dataclasses.replace(wanted, target=await self._id_of(conn, wanted.target))
            found = await self._account.deliveries(conn, chosen, after=after, limit=size + 1)
        more = ""
        if len(found) > size:
            last = found[size - 1]
            more = page.encode_token((last.created_at.isoformat(), last.delivery_id), wanted)
        return Page(items=found[:size], next_token=more)

    async def get_delivery(self, delivery_id: str) -> DeliveryAccount:
        """Returns one delivery with its body and its attempts."""
        async with self._account_pool.acquire() as conn:
            delivery, body = await self._delivery(conn, delivery_id)
            attempts = await self._account.attempts(conn, delivery.delivery_id, limit=MOST_ATTEMPTS)
        return DeliveryAccount(delivery=delivery, body=body, attempts=attempts)

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        """Makes a dead delivery due again."""
        async with self._account_pool.acquire() as conn, conn.transaction():
            delivery, _ = await self._delivery(conn, delivery_id)
            # First the target, as everywhere: its deletion waits, or is seen.
            if not await self._targets.living_targets(conn, [delivery.target_id]):
                raise no_target(delivery.target_id)
            if not await self._account.replay(conn, delivery, self._account_clock.now()):
                raise _not_dead(delivery)
            await self._targets.wake_workers(conn)
            replayed, _ = await self._delivery(conn, delivery_id)
        log.info("delivery.replayed", delivery_id=delivery.delivery_id, target_id=delivery.target_id)
        return replayed

    async def replay_deliveries(self, target: str) -> int:
        """Makes the oldest dead deliveries to a target due again."""
        async with self._account_pool.acquire() as conn, conn.transaction():
            target_id = await self._names.target_id(conn, target) if may_name_target(target) else None
            if target_id is None:
                raise no_target(target)
            count = await self._account.replay_of_target(
                conn, target_id, limit=MOST_REPLAYED, at=self._account_clock.now()
            )
            if count:
                await self._targets.wake_workers(conn)
        log.info("deliveries.replayed", target_id=target_id, count=count)
        return count

    async def _delivery(self, conn: Connection, delivery_id: str) -> tuple[Delivery, bytes]:
        try:
            found = await self._account.delivery(conn, str(uuid.UUID(delivery_id)))
        except ValueError:
            found = None
        if found is None:
            raise not_found(
                "DELIVERY_NOT_EXIST",
                f"There is no delivery {delivery_id[:64]!r}.",
                hint="`drydock delivery list` shows those that are kept.",
            )
        return found

    async def _id_of(self, conn: Connection, target: str) -> str:
        """Returns the id of a target that is named; deleted ones are known by their ids alone."""
        if not target:
            return ""
        if not may_name_target(target):
            raise no_target(target)
        if target.startswith(f"{TARGET_PREFIX}-"):
            return target
        found = await self._names.target_id(conn, target)
        if found is None:
            raise no_target(target)
        return found


def _not_dead(delivery: Delivery) -> ServiceError:
    hint = {
        DeliveryState.DELIVERED: "It has arrived: another one would be sent twice.",
        DeliveryState.MERGED: f"It is told in the delivery {delivery.told_in}.",
    }.get(delivery.state, "Only dead deliveries can be replayed.")
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "DELIVERY_NOT_DEAD",
        f"Delivery {delivery.delivery_id} is {delivery.state.value}, not dead.",
        hint=hint,
        metadata={"state": delivery.state.value},
    )
