"""How rules is put together."""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import IMAGE_EVENTS
from services.kernel.disk_use import DiskUse
from services.kernel.ground import Ground
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.retention import Retention, every
from services.kernel.secrets import SecretBox
from services.notifier.api import NotifierApi
from services.registry.catalog import open_catalog
from services.registry.trial import try_registry
from services.rules.access import Passwords
from services.rules.api import RulesApi
from services.rules.application import Rules
from services.rules.consumer import ImageEventConsumer
from services.rules.engines.checker import Checker
from services.rules.engines.entitlement import EntitlementRecord
from services.rules.engines.lifecycle import Engines
from services.rules.engines.metrics import EngineMetrics
from services.rules.engines.store import EngineStore
from services.rules.matching import IndexCache
from services.rules.metrics import RulesMetrics
from services.rules.retention import agings
from services.rules.runs.application import Runs
from services.rules.runs.asking import Asking
from services.rules.runs.runner import Runner
from services.rules.runs.store import RunStore
from services.rules.runs.timetable import Timetable
from services.rules.settings import RulesSettings
from services.rules.store import RulesStore
from services.rules.sync.metrics import WalkMetrics
from services.rules.sync.reconcile import Reconciler
from services.rules.sync.store import SyncStore
from services.rules.sync.switch import SyncSwitch
from services.rules.targets import TargetCheck

GROUP = "rules"


@asynccontextmanager
async def server(
    ground: Ground, *, notifier: NotifierApi, box: SecretBox, settings: RulesSettings
) -> AsyncIterator[RulesApi]:
    """Starts the consumer, the relay of the outbox and the clean-up in the process; yields the interface.

    The schema `rules` must be up to date.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    ready = process.readiness.add("rules")
    store, outbox, metrics = RulesStore(), Outbox("rules"), RulesMetrics(ground.registry)
    consumer = ImageEventConsumer(
        pool=pool,
        store=store,
        outbox=outbox,
        indexes=IndexCache(max_rules=settings.max_indexed_rules),
        clock=clock,
        metrics=metrics,
    )
    stopping = process.stopping
    process.start(
        "rules.consumer",
        consume(ground.bus, group=GROUP, topic=IMAGE_EVENTS, handler=consumer.handle, stopping=stopping),
    )
    process.start("rules.outbox", OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups).run(stopping))
    retention = Retention(
        "rules", agings(settings), pool=pool, clock=clock, batch=settings.cleanup_batch, registry=ground.registry
    )
    process.start(
        "rules.retention", every(settings.cleanup_interval_seconds, retention.clean, stopping, name="rules")
    )
    process.start("rules.disk_use", DiskUse("rules", pool, ground.registry).run(stopping))
    passwords, engine_store = Passwords(box), EngineStore()
    engines = Engines(
        pool=pool,
        store=engine_store,
        rules=store,
        passwords=passwords,
        entitlement=EntitlementRecord(settings.entitlement_file),
        look=functools.partial(try_registry, settings.look, seconds=settings.engine_look_seconds),
        clock=clock,
        pull_seconds=settings.engine_pull_seconds,
    )
    checker = Checker(
        pool=pool,
        store=engine_store,
        check=engines.check,
        wakeups=ground.wakeups,
        clock=clock,
        metrics=EngineMetrics(ground.registry),
        settings=settings,
    )
    process.start("rules.engines", checker.run(stopping))
    sync = SyncStore()
    run_store = RunStore()
    runs = Runs(
        pool=pool,
        store=run_store,
        clock=clock,
        ids=ground.ids,
        source=settings.source,
        preview_seconds=settings.preview_seconds,
        repositories_at_once=settings.run_questions,
    )
    rules = Rules(
        pool=pool,
        store=store,
        targets=TargetCheck(notifier, seconds=settings.notifier_seconds),
        passwords=passwords,
        engines=engines,
        runs=runs,
        clock=clock,
        ids=ground.ids,
        max_rules_per_instance=settings.max_rules_per_instance,
        outbox=outbox,
        sync=SyncSwitch(pool, sync),
    )
    reconciler = Reconciler(
        pool=pool,
        store=store,
        sync=sync,
        outbox=outbox,
        access=rules.registry_access,
        open_catalog=functools.partial(open_catalog, settings.walk_source),
        clock=clock,
        ids=ground.ids,
        metrics=WalkMetrics(ground.registry),
        settings=settings,
    )
    process.start("rules.sync", reconciler.run(ground.wakeups, stopping))
    asking = Asking(
        pool=pool,
        store=run_store,
        rules=store,
        outbox=outbox,
        clock=clock,
        limits=settings.source.limits,
        lease_seconds=settings.run_lease_seconds,
        at_once=settings.run_questions,
        max_images=settings.max_run_images,
    )
    runner = Runner(
        owner=f"rules-{ground.ids.uuid()}",
        pool=pool,
        store=run_store,
        asking=asking,
        access=rules.registry_access,
        source=settings.source,
        wakeups=ground.wakeups,
        clock=clock,
        settings=settings,
        metrics=metrics,
        random_source=random.Random(),  # noqa: S311 - jitter, no secret
    )
    timetable = Timetable(
        pool=pool,
        store=run_store,
        rules=store,
        runs=runs,
        clock=clock,
        ids=ground.ids,
        metrics=metrics,
        grace_seconds=settings.removal_grace_seconds,
    )
    process.start("rules.runs", runner.run(stopping))
    process.start("rules.timetable", timetable.run(stopping))
    ready.set(True)
    yield rules
