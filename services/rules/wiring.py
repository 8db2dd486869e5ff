"""How rules is put together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import IMAGE_EVENTS, Bus
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import Ids
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.run import Process
from services.kernel.secrets import SecretBox
from services.kernel.wakeup import Wakeups
from services.rules.api import RulesApi
from services.rules.application import Rules
from services.rules.consumer import ImageEventConsumer
from services.rules.matching import IndexCache
from services.rules.metrics import RulesMetrics
from services.rules.retention import Retention
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore

GROUP = "rules"


@asynccontextmanager
async def server(
    process: Process,
    *,
    pool: Pool,
    url: str,
    bus: Bus,
    wakeups: Wakeups,
    clock: Clock,
    ids: Ids,
    box: SecretBox,
    settings: RulesSettings,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[RulesApi]:
    """Starts the consumer, the relay of the outbox and the clean-up in the process; yields the interface.

    The schema `rules` must be up to date. Counters go to `registry`; without one, nobody reads them.
    """
    ready = process.readiness.add("rules")
    store, outbox = RulesStore(), Outbox("rules")
    consumer = ImageEventConsumer(
        pool=pool,
        store=store,
        outbox=outbox,
        indexes=IndexCache(max_rules=settings.max_indexed_rules),
        clock=clock,
        metrics=RulesMetrics(registry or CollectorRegistry()),
    )
    stopping = process.stopping
    process.start(
        "rules.consumer",
        consume(bus, group=GROUP, topic=IMAGE_EVENTS, handler=consumer.handle, stopping=stopping),
    )
    process.start("rules.outbox", OutboxRelay(url, bus, outbox, wakeups).run(stopping))
    process.start("rules.retention", Retention(pool, store, clock, settings).run(stopping))
    ready.set(True)
    yield Rules(
        pool=pool,
        store=store,
        box=box,
        clock=clock,
        ids=ids,
        max_rules_per_instance=settings.max_rules_per_instance,
    )
