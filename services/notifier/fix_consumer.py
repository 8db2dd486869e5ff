"""Ends of fixes in, deliveries out: one transaction for a batch, each (target, event) once."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.notifier.api import Subscription
from services.notifier.convert_events import from_fix_event
from services.notifier.desk import Desk
from services.notifier.filters import Tell
from services.notifier.fixes import FixEvent, decide_fix, news_in_fix
from services.notifier.grammar import may_name_target
from services.notifier.metrics import Decided, TellingMetrics
from services.notifier.payload import delivery_id_of, encode, fix_notification_of
from services.notifier.records import NewDelivery
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import SubscriptionStore


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Heard:
    event: FixEvent
    traceparent: str

    @property
    def target_ids(self) -> Sequence[str]:
        named = {*self.event.target_ids, *self.event.rule_target_ids}
        return sorted(filter(may_name_target, named))


class FixEventConsumer:
    """Handles batches of `drydock.fix.events.v1`."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: NotifierStore,
        subscriptions: SubscriptionStore,
        desk: Desk,
        clock: Clock,
        metrics: TellingMetrics,
    ) -> None:
        self._pool = pool
        self._store = store
        self._subscriptions = subscriptions
        self._desk = desk
        self._clock = clock
        self._metrics = metrics

    async def handle(self, records: Sequence[Record]) -> None:
        """Saves a delivery for every target that is told. Idempotent by event id.

        Somebody asked for the fix, and may wait for its end: it is told at once, whatever a target's window is.

        Raises:
            ServiceError: BAD_EVENT when a record cannot be read.
        """
        heard = [
            _Heard(event=from_fix_event(record.message.value), traceparent=record.traceparent)
            for record in records
        ]
        told = [each for each in heard if news_in_fix(each.event) and each.target_ids]
        if not told:
            return
        async with self._pool.acquire() as conn, conn.transaction():
            tally = await self._take(conn, told)
        self._metrics.decided(tally)
        now = self._clock.now()
        for each in told:
            self._metrics.heard((now - each.event.occurred_at).total_seconds())

    async def _take(self, conn: Connection, heard: Sequence[_Heard]) -> Mapping[Decided, int]:
        named = {target for each in heard for target in each.target_ids}
        living = await self._store.living_targets(conn, named)
        subscriptions = await self._subscriptions.subscriptions(conn, living)
        new: list[NewDelivery] = []
        passed = 0
        for each in heard:
            for target_id in each.target_ids:
                if target_id not in living:
                    continue
                decision = decide_fix(subscriptions.get(target_id, Subscription()), each.event, target_id)
                if isinstance(decision, Tell):
                    new.append(_delivery(each, target_id, decision))
                else:
                    passed += 1
        return Counter({Decided.PASSED: passed}) + await self._desk.deliver(conn, new)


def _delivery(heard: _Heard, target_id: str, tell: Tell) -> NewDelivery:
    event = heard.event
    news = news_in_fix(event)
    assert news is not None, "nobody is told of what is no news"  # noqa: S101 - for the type checker
    return NewDelivery(
        target_id=target_id,
        event_id=event.event_id,
        delivery_id=delivery_id_of(event.event_id, target_id),
        news=news,
        body=encode(fix_notification_of(event, news, target_id, occasions=tell.occasions)),
        traceparent=heard.traceparent,
        window_seconds=0,
    )
