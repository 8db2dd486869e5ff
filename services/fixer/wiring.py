"""Puts the fixer together as a server, on PostgreSQL and the bus."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.fixer.api import FixerApi
from services.fixer.application import Fixer
from services.fixer.ends import Ends
from services.fixer.fix import Fix
from services.fixer.intake import Intake
from services.fixer.metrics import FixerMetrics
from services.fixer.order import FixWork
from services.fixer.proof.prove import Prover
from services.fixer.reports import Reports
from services.fixer.repositories.configured import ConfiguredRepositories, read_repositories
from services.fixer.repositories.door import open_door
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.open import open_depot
from services.fixer.repositories.shelf import Shelf
from services.fixer.retention import agings
from services.fixer.settings import FixerSettings
from services.fixer.steps import labour
from services.fixer.steps.bench import Benches
from services.fixer.steps.make import Maker
from services.fixer.steps.prepare import Planner
from services.fixer.steps.survey import Surveyor
from services.fixer.steps.workers import Labour
from services.fixer.store import FixerStore
from services.fixer.work.recorder import Recorder
from services.fixer.work.worker import Worker
from services.kernel.disk_use import DiskUse
from services.kernel.egress import Egress, parse_networks, parse_ports
from services.kernel.ground import Ground
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.retention import Retention, every
from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import spawn_template
from services.registry.limits import SourceSettings
from services.registry.open import open_repository
from services.registry.push import open_push
from services.registry.spool import LayerSpool
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi


@asynccontextmanager
async def open_work(
    ground: Ground, *, rules: RulesApi, scanner: ScannerApi, data: Path, settings: FixerSettings
) -> AsyncIterator[FixWork]:
    """Opens the way of one fix: its repositories, its cache below `data`, its worker processes.

    Raises:
        ServiceError: INVALID_SETTING of the operator's list of repositories.
    """
    source = SourceSettings()
    repositories = await asyncio.to_thread(_repositories, settings, data)
    egress = Egress(networks=parse_networks(settings.allowed_networks), ports=parse_ports(settings.allowed_ports))
    pool = WorkerPool(
        functools.partial(spawn_template, (labour.__name__,)),
        processes=settings.concurrent_fixes,
        memory_bytes=settings.worker_bytes,
    )
    folder = data / "packages"
    shelf, keyrings = (
        Shelf(folder, settings.packages_cache_bytes),
        Keyrings(settings.keyrings_dir or data / "keyrings"),
    )
    async with (
        LayerSpool(folder / "work", settings.image_bytes) as spool,
        open_door(egress, ground.clock, source.timeouts) as door,
    ):
        work = Labour(pool, settings.step_seconds)
        maker, reports = Maker(work), Reports(scanner)
        yield Fix(
            rules=rules,
            benches=Benches(
                rules,
                functools.partial(open_repository, source),
                spool,
                functools.partial(open_depot, door, shelf, keyrings),
            ),
            open_push=functools.partial(open_push, source),
            reports=reports,
            surveyor=Surveyor(
                Planner(work, repositories), maker, spool, source.limits, image_bytes=settings.image_bytes
            ),
            maker=maker,
            prover=Prover(reports),
        )


def _repositories(settings: FixerSettings, data: Path) -> ConfiguredRepositories:
    if settings.repositories_file is not None:
        return read_repositories(settings.repositories_file)
    usual = data / "repositories.toml"
    return read_repositories(usual if usual.exists() else None)


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, scanner: ScannerApi, work: FixWork, settings: FixerSettings
) -> AsyncIterator[FixerApi]:
    """Starts a worker, the relay and the clean-up on the process, and yields the interface.

    The schema `fixer` must be up to date. `work` is the way of one fix: `open_work`.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    ready, stopping = process.readiness.add("fixer"), process.stopping
    store, outbox = FixerStore(), Outbox("fixer")
    ends = Ends(store, outbox, clock, ground.ids)
    worker = Worker(
        owner=ground.ids.uuid(),
        pool=pool,
        store=store,
        recorder=Recorder(pool, store, ends, clock),
        work=work,
        wakeups=ground.wakeups,
        settings=settings,
        metrics=FixerMetrics(ground.registry),
        clock=clock,
        random_source=random.SystemRandom(),
    )
    process.start("fixer.outbox", OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups).run(stopping))
    process.start("fixer.worker", worker.run(stopping))
    retention = Retention(
        "fixer", agings(settings), pool=pool, clock=clock, batch=settings.cleanup_batch, registry=ground.registry
    )
    process.start(
        "fixer.retention",
        every(settings.cleanup_interval_seconds, retention.clean, stopping, name="fixer.retention"),
    )
    process.start("fixer.disk_use", DiskUse("fixer", pool, ground.registry).run(stopping))
    ready.set(True)
    yield Fixer(
        pool=pool,
        store=store,
        ends=ends,
        intake=Intake(rules, scanner),
        rules=rules,
        work=work,
        settings=settings,
        clock=clock,
        ids=ground.ids,
    )
