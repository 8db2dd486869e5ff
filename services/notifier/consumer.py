"""Scan events in, deliveries out: one transaction for a batch, each (target, event) once."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.notifier.convert_events import from_scan_event
from services.notifier.desk import Desk, Heard
from services.notifier.events import news_in
from services.notifier.metrics import TellingMetrics


class ScanEventConsumer:
    """Handles batches of `drydock.scan.events.v1`."""

    def __init__(self, *, pool: Pool, desk: Desk, clock: Clock, metrics: TellingMetrics) -> None:
        self._pool = pool
        self._desk = desk
        self._clock = clock
        self._metrics = metrics

    async def handle(self, records: Sequence[Record]) -> None:
        """Saves what becomes of every event that is worth telling, for every target. Idempotent by event id.

        Raises:
            ServiceError: BAD_EVENT when a record cannot be read.
        """
        heard = [_heard(record) for record in records]
        told = [each for each in heard if news_in(each.event)]
        if told:
            async with self._pool.acquire() as conn, conn.transaction():
                tally = await self._desk.take(conn, told)
            self._metrics.decided(tally)
            now = self._clock.now()
            for each in told:
                self._metrics.heard((now - each.event.occurred_at).total_seconds())


def _heard(record: Record) -> Heard:
    event = from_scan_event(record.message.value)
    return Heard(
        event=event, value=record.message.value, traceparent=record.traceparent, target_ids=event.target_ids
    )
