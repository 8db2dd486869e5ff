"""How much waits to be told, and for how long it has: looked up now and then, by indexes that are small."""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Gauge

from services.kernel.db import Pool
from services.kernel.retention import every
from services.notifier.delivery_store import DeliveryStore

_LOOK_SECONDS = 15.0


class Backlog:
    """Gauges of what has not been told; every copy of the notifier tells the same."""

    def __init__(self, pool: Pool, registry: CollectorRegistry) -> None:
        self._pool = pool
        self._store = DeliveryStore()
        self._deliveries = Gauge(
            "drydock_notifier_deliveries", "Deliveries that have not arrived.", ("state",), registry=registry
        )
        self._questions = Gauge(
            "drydock_notifier_open_inquiries", "Events of which the scanner is to be asked.", registry=registry
        )
        self._overdue = Gauge(
            "drydock_notifier_overdue_seconds",
            "How long the delivery that is due for the longest time has been due; 0 when none is.",
            registry=registry,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks until `stopping`."""
        await every(_LOOK_SECONDS, self.look, stopping, name="notifier backlog")

    async def look(self, stopping: asyncio.Event) -> None:
        """Looks once."""
        del stopping
        async with self._pool.acquire() as conn:
            found = await self._store.backlog(conn)
        for state, count in (("PENDING", found.pending), ("HELD", found.held), ("DEAD", found.dead)):
            self._deliveries.labels(state).set(count)
        self._questions.set(found.questions)
        self._overdue.set(found.overdue_seconds)
