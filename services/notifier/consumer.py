"""Scan events in, deliveries out: one transaction for a batch, each (target, event) once."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.notifier.convert_events import from_scan_event
from services.notifier.events import News, ScanEvent, news_in
from services.notifier.grammar import may_name_target
from services.notifier.payload import delivery_id_of, encode, notification_of
from services.notifier.records import NewDelivery
from services.notifier.store import NotifierStore

log = structlog.get_logger()


class ScanEventConsumer:
    """Handles batches of `drydock.scan.events.v1`."""

    def __init__(self, *, pool: Pool, store: NotifierStore, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock

    async def handle(self, records: Sequence[Record]) -> None:
        """Saves a delivery for every target of every event that is worth telling. Idempotent by event id.

        Raises:
            ServiceError: BAD_EVENT when a record cannot be read.
        """
        events = [from_scan_event(record.message.value) for record in records]
        told = [(event, news) for event in events if (news := news_in(event)) and event.target_ids]
        if told:
            async with self._pool.acquire() as conn, conn.transaction():
                await self._save(conn, told)

    async def _save(self, conn: Connection, told: Sequence[tuple[ScanEvent, News]]) -> None:
        named = {target for event, _ in told for target in event.target_ids if may_name_target(target)}
        living = await self._store.living_targets(conn, named)
        new = [
            _delivery(event, news, target_id)
            for event, news in told
            for target_id in sorted(set(event.target_ids))
            if self._is_living(target_id, living, event)
        ]
        if not new:
            return
        # In one order always: two consumers of the same events then wait for each other, and never deadlock.
        new.sort(key=lambda delivery: (delivery.target_id, delivery.event_id))
        count = await self._store.insert_deliveries(conn, new, self._clock.now())
        if count:
            await self._store.wake_workers(conn)
        log.info("deliveries.saved", count=count, repeated=len(new) - count)

    def _is_living(self, target_id: str, living: frozenset[str], event: ScanEvent) -> bool:
        if target_id in living:
            return True
        log.warning("target.missing", target_id=target_id[:80], event_id=event.event_id, task_id=event.task_id)
        return False


def _delivery(event: ScanEvent, news: News, target_id: str) -> NewDelivery:
    return NewDelivery(
        target_id=target_id,
        event_id=event.event_id,
        delivery_id=delivery_id_of(event.event_id, target_id),
        news=news,
        body=encode(notification_of(event, news, target_id)),
    )
