"""Puts the scanner together as a server, on PostgreSQL and the bus."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.kernel.bus.dispatch import consume, in_turn
from services.kernel.bus.interface import BULK_REQUESTS, IMAGE_EVENTS, SCAN_REQUESTS
from services.kernel.disk_use import DiskUse
from services.kernel.ground import Ground
from services.kernel.model.finding import FindingKind
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.retention import Retention, every
from services.kernel.secrets import SecretBox
from services.registry.open import open_repository
from services.registry.spool import LayerSpool
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
from services.scanner.engines import InstalledEngines
from services.scanner.layers.store import AnalysisStore
from services.scanner.layers.stored import StoredAnalyses
from services.scanner.pipeline.record import Recorder
from services.scanner.retention import agings
from services.scanner.rulepacks import RulePacks
from services.scanner.search import open_search
from services.scanner.search_watch import SearchWatch
from services.scanner.selfreport import SelfReport
from services.scanner.settings import ScannerSettings, TrivySettings, bounds_of_settings
from services.scanner.store import ScannerStore
from services.scanner.tags.account import Account
from services.scanner.tags.hearsay import Hearsay
from services.scanner.tags.reads import open_tag_reads
from services.scanner.tags.store import SyncStore
from services.scanner.tasks.control import Control
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.keeper import RunKeeper
from services.scanner.tasks.loans import Loans
from services.scanner.tasks.run_store import RunStore
from services.scanner.tasks.runs import Runs
from services.scanner.tasks.schedule import Scheduler
from services.scanner.tasks.tell import TaskTeller
from services.scanner.trivy.watch import TrivyWatch
from services.scanner.wiring.pipeline import make_pipeline
from services.scanner.wiring.reevaluation import make_reevaluator
from services.scanner.wiring.stream import start_stream
from services.scanner.wiring.tags import start_tag_work
from services.scanner.wiring.trivy import databases_of, trivy_scan
from services.scanner.wiring.waiting import waiting_room
from services.scanner.wiring.workers import server_workers
from services.scanner.work.lanes import Slots
from services.scanner.work.puller import Puller
from services.scanner.work.worker import Worker


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, box: SecretBox, data: Path, settings: ScannerSettings
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
    trivy_settings = TrivySettings()
    trivy = TrivyWatch(
        trivy_settings, databases_of(trivy_settings, data), max_age=bounds.advisory_age, clock=clock
    )
    await trivy.open()
    release = EngineRelease(watch, lambda: search_key(search.now), trivy, clock=clock, max_age=bounds.advisory_age)
    scheduler = Scheduler(store, release)
    teller = TaskTeller(outbox, clock, ground.ids)
    recorder = Recorder(pool=pool, store=store, scheduler=scheduler, teller=teller, clock=clock)
    run_store = RunStore()
    intake = Intake(pool=pool, store=store, runs=run_store, scheduler=scheduler, teller=teller, clock=clock)
    sync, loans = SyncStore(), Loans(box)
    hearsay = Hearsay(pool=pool, store=sync, clock=clock, settings=settings)
    runs = Runs(pool, run_store, rules)
    control = Control(
        pool=pool,
        tasks=store,
        store=run_store,
        runs=runs,
        rules=rules,
        intake=intake,
        teller=teller,
        clock=clock,
    )
    keeper = RunKeeper(pool=pool, store=run_store, runs=runs, control=control, rules=rules, wakeups=ground.wakeups)
    workers = server_workers(bounds, search.now.inspection)
    library = StoredAnalyses(pool, AnalysisStore(), analysers_key)
    opener = functools.partial(open_repository, bounds.source)
    async with (
        open_tag_reads(ground.url, store) as tags,
        LayerSpool(data / "spool", bounds.spool_bytes) as spool,
        waiting_room(
            ground,
            store=store,
            tags=tags,
            rules=rules,
            open_source=opener,
            settings=settings,
            age_limit=bounds.advisory_age,
        ) as room,
    ):
        pipeline = make_pipeline(
            spool=spool,
            library=library,
            workers=workers,
            search=lambda: search.now,
            data=data,
            bounds=bounds,
            clock=clock,
        )
        puller = Puller(
            rules=rules,
            loans=loans,
            open_source=opener,
            pipeline=pipeline,
            trivy=trivy_scan(
                spool=spool,
                workers=workers,
                kinds=frozenset(FindingKind),
                data=data,
                bounds=bounds,
                settings=trivy_settings,
                clock=clock,
            ),
            limits=bounds.source.limits,
        )
        node_id = f"scanner-{ground.ids.uuid()}"
        slots = Slots(settings.concurrent_scans, settings.reserved_scans)
        reevaluator = make_reevaluator(
            ground,
            scans=store,
            teller=teller,
            advisories=watch,
            trivy=trivy,
            workers=workers,
            slots=slots,
            data=data,
            bounds=bounds,
        )
        await reevaluator.enter()
        worker = Worker(
            owner=node_id,
            pool=pool,
            store=store,
            recorder=recorder,
            work=puller.scan,
            wakeups=ground.wakeups,
            settings=settings,
            random_source=random.Random(),  # noqa: S311 - jitter, no secret
            slots=slots,
        )
        stopping = process.stopping
        for name, watcher in (("advisories", watch), ("trivy", trivy), ("signatures", search)):
            process.start(f"scanner {name}", watcher.run(stopping))
        _start_bus_work(ground, outbox, intake, hearsay)
        _start_housekeeping(ground, data, settings)
        start_tag_work(
            ground, store=store, sync=sync, outbox=outbox, rules=rules, open_source=opener, settings=settings
        )
        stream = start_stream(ground, files=files, tells=settings.findings_stream)
        process.start("scanner runs", keeper.run(stopping))
        process.start("scanner worker", worker.run(stopping))
        process.start("scanner re-evaluation", reevaluator.run(stopping))
        if search.now.inspection is not None:
            report = SelfReport(
                node_id=node_id,
                rules=rules,
                watch=watch,
                packs=RulePacks(search.now.inspection, settings.malware_rules, workers),
                clock=clock,
                max_age=bounds.advisory_age,
                every_seconds=settings.self_report_seconds,
                engines=InstalledEngines(trivy.health),
            )
            process.start("scanner report", report.run(stopping))
        ready.set(True)
        yield ScannerApplication(
            pool=pool,
            store=store,
            lookup=room.lookup,
            intake=intake,
            runs=runs,
            control=control,
            rules=rules,
            present=room.present,
            waiting=room.waiting,
            gating=room.gating,
            clock=clock,
            ids=ground.ids,
            account=Account(pool, sync),
            stream=stream,
            loans=loans,
        )


def _start_bus_work(ground: Ground, outbox: Outbox, intake: Intake, hearsay: Hearsay) -> None:
    """Starts what tells, and what hears."""
    process, stopping = ground.process, ground.process.stopping
    process.start("scanner relay", OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups).run(stopping))
    for group, topic, handler in (
        ("scanner.tags", IMAGE_EVENTS, in_turn(intake.see_pushes, hearsay.take)),
        ("scanner", SCAN_REQUESTS, intake.take_requests),
        ("scanner.bulk", BULK_REQUESTS, intake.take_requests),
    ):
        process.start(group, consume(ground.bus, group=group, topic=topic, handler=handler, stopping=stopping))


def _start_housekeeping(ground: Ground, data: Path, settings: ScannerSettings) -> None:
    """Starts what deletes what is old, and what tells how much disk is used."""
    process, stopping = ground.process, ground.process.stopping
    retention = Retention(
        "scanner",
        agings(settings),
        pool=ground.pool,
        clock=ground.clock,
        batch=settings.cleanup_batch,
        registry=ground.registry,
    )
    process.start(
        "scanner retention",
        every(settings.cleanup_interval_seconds, retention.clean, stopping, name="scanner"),
    )
    folders = {name: data / name for name in ("spool", "advisories")}
    process.start("scanner disk use", DiskUse("scanner", ground.pool, ground.registry, folders).run(stopping))
