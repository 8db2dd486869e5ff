"""Puts the scanner together as a server, on PostgreSQL and the bus."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_REQUESTS
from services.kernel.ground import Ground
from services.kernel.model.engine import READY_ENGINES
from services.kernel.outbox import Outbox, OutboxRelay
from services.registry.open import open_repository
from services.rules.api import RulesApi
from services.scanner.advisories.database import FORMAT
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.shared import SharedAdvisories
from services.scanner.advisories.store import AdvisoryStore
from services.scanner.advisories.watch import AdvisoryWatch
from services.scanner.analysers import analysers_key, search_key
from services.scanner.api import ScannerApi
from services.scanner.application import ScannerApplication
from services.scanner.engine import EngineRelease
from services.scanner.layers.stored import StoredAnalyses
from services.scanner.pipeline.record import Recorder
from services.scanner.pipeline.remote import ready_remotely
from services.scanner.retention import Retention
from services.scanner.search import open_search
from services.scanner.search_watch import SearchWatch
from services.scanner.settings import ScannerSettings, bounds_of_settings
from services.scanner.store import ScannerStore
from services.scanner.tags.reads import open_tag_reads
from services.scanner.tags.settle import Settler
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.lookup import Lookup
from services.scanner.tasks.schedule import Scheduler
from services.scanner.tasks.tell import TaskTeller
from services.scanner.wiring.pipeline import open_pipeline
from services.scanner.wiring.workers import server_workers
from services.scanner.work.puller import Puller
from services.scanner.work.worker import Worker


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, data: Path, settings: ScannerSettings
) -> AsyncIterator[ScannerApi]:
    """Starts consumers, relay and workers on the process, and yields the scanner's interface.

    The schema must be up to date. The spool below `data` is this process's own until exit.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    bounds = bounds_of_settings(settings)
    ready = process.readiness.add("scanner")
    search = SearchWatch(await asyncio.to_thread(open_search, bounds, data), bounds.clamd)
    await search.look()
    store, outbox = ScannerStore(), Outbox("scanner")
    files = AdvisoryFiles(data)
    watch = AdvisoryWatch(files, SharedAdvisories(files, AdvisoryStore(pool, FORMAT)))
    await watch.open()
    scheduler = Scheduler(store, EngineRelease(watch, lambda: search_key(search.now)))
    teller = TaskTeller(outbox, clock, ground.ids)
    recorder = Recorder(pool=pool, store=store, scheduler=scheduler, teller=teller, clock=clock)
    intake = Intake(pool=pool, store=store, scheduler=scheduler, teller=teller, clock=clock)
    workers = server_workers(bounds)
    if search.now.inspection is not None:
        workers.prepare(ready_remotely, search.now.inspection)
    library = StoredAnalyses(pool, store, analysers_key)
    async with (
        open_tag_reads(ground.url, store) as tags,
        open_pipeline(
            data / "spool",
            library=library,
            workers=workers,
            search=lambda: search.now,
            data=data,
            bounds=bounds,
            clock=clock,
        ) as pipeline,
    ):
        opener = functools.partial(open_repository, bounds.source)
        puller = Puller(rules=rules, open_source=opener, pipeline=pipeline)
        worker = Worker(
            owner=f"scanner-{ground.ids.uuid()}",
            pool=pool,
            store=store,
            recorder=recorder,
            work=puller.scan,
            wakeups=ground.wakeups,
            settings=settings,
            random_source=random.Random(),  # noqa: S311 - jitter, no secret
        )
        stopping = process.stopping
        process.start("scanner relay", OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups).run(stopping))
        process.start("scanner advisories", watch.run(stopping))
        process.start("scanner signatures", search.run(stopping))
        for group, topic, handler in (
            ("scanner.tags", IMAGE_EVENTS, intake.see_pushes),
            ("scanner", SCAN_REQUESTS, intake.take_requests),
        ):
            process.start(group, consume(ground.bus, group=group, topic=topic, handler=handler, stopping=stopping))
        process.start("scanner retention", Retention(pool, store, clock, settings).run(stopping))
        settler = Settler(
            pool=pool,
            store=store,
            rules=rules,
            open_source=opener,
            wakeups=ground.wakeups,
            clock=clock,
            settings=settings,
        )
        process.start("scanner doubts", settler.run(stopping))
        process.start("scanner worker", worker.run(stopping))
        ready.set(True)
        yield ScannerApplication(
            pool=pool,
            store=store,
            lookup=Lookup(pool, store, tags, rules),
            intake=intake,
            rules=rules,
            open_source=opener,
            clock=clock,
            ids=ground.ids,
            engines=READY_ENGINES,
        )
