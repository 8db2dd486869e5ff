"""Puts the scanner together: as a server on PostgreSQL and the bus, or for one scan without either."""

from __future__ import annotations

import functools
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from platform import machine

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_REQUESTS
from services.kernel.clock import Clock, SystemClock
from services.kernel.ground import Ground
from services.kernel.model.access import RegistryAccess
from services.kernel.model.engine import READY_ENGINES
from services.kernel.model.platform import Platform
from services.kernel.model.reference import ImageName, ImageReference, RegistryReference, RepositoryName
from services.kernel.model.report import Report
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.workers import WorkerPool
from services.rules.api import RulesApi
from services.scanner.advisories.database import FORMAT
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.settings import AdvisorySettings
from services.scanner.advisories.shared import SharedAdvisories
from services.scanner.advisories.store import AdvisoryStore
from services.scanner.advisories.update import import_sources
from services.scanner.advisories.watch import AdvisoryWatch
from services.scanner.api import ScannerApi
from services.scanner.application import ScannerApplication
from services.scanner.catalogers.installed import ANALYSERS_KEY
from services.scanner.engine import ENGINE, EngineRelease
from services.scanner.images.interface import ImageIndex, ImageSource
from services.scanner.images.limits import SourceSettings
from services.scanner.images.open import name_in_source, open_source
from services.scanner.images.spool import LayerSpool
from services.scanner.intake import Intake
from services.scanner.layers.library import AnalysisLibrary, RememberedAnalyses, StoredAnalyses
from services.scanner.lookup import Lookup
from services.scanner.pipeline.catalog import CatalogStep
from services.scanner.pipeline.record import Recorder
from services.scanner.pipeline.scan import Progress, ScanPipeline
from services.scanner.puller import Puller
from services.scanner.reports import unpack_report
from services.scanner.retention import Retention
from services.scanner.schedule import Scheduler
from services.scanner.settings import ScannerSettings
from services.scanner.settle import Settler
from services.scanner.store import ScannerStore
from services.scanner.tag_reads import open_tag_reads
from services.scanner.tell import TaskTeller
from services.scanner.worker import Worker

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The machine's word for itself to Go's."""


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, data: Path, settings: ScannerSettings
) -> AsyncIterator[ScannerApi]:
    """Starts consumers, relay and workers on the process, and yields the scanner's interface.

    The schema must be up to date. The spool below `data` is this process's own until exit.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    ready = process.readiness.add("scanner")
    store, outbox = ScannerStore(), Outbox("scanner")
    files = AdvisoryFiles(data)
    watch = AdvisoryWatch(files, SharedAdvisories(files, AdvisoryStore(pool, FORMAT)))
    await watch.open()
    scheduler = Scheduler(store, EngineRelease(watch))
    teller = TaskTeller(outbox, clock, ground.ids)
    recorder = Recorder(pool=pool, store=store, scheduler=scheduler, teller=teller, clock=clock)
    intake = Intake(pool=pool, store=store, scheduler=scheduler, teller=teller, clock=clock)
    library = StoredAnalyses(pool, store, ANALYSERS_KEY)
    async with (
        open_tag_reads(ground.url, store) as tags,
        _pipeline(library, data / "spool", data, settings, clock) as pipeline,
    ):
        opener = functools.partial(open_repository, settings.source)
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


async def one_shot(
    reference: ImageReference,
    *,
    access: RegistryAccess | None = None,
    platform: Platform | None = None,
    advisories: Path | None = None,
    data: Path,
    progress: Progress = lambda step, facts: None,
) -> Report:
    """Scans one image without database, bus or server.

    Of an image with several platforms, `platform` or else this machine's own is scanned; in the latter case the
    step "platform" tells which that is, and which `others` there are. `advisories` names OSV
    records (zip, folder or ndjson) that are used instead of the data directory's; they are compiled first.

    Raises:
        ScanFailure: the image cannot be scanned.
        ServiceError: the advisories cannot be read.
    """
    settings, clock = ScannerSettings(), SystemClock()
    with tempfile.TemporaryDirectory(prefix="drydock-") as folder:
        scratch = Path(folder)
        if advisories is not None:
            data = scratch
            progress("advisories", {"source": str(advisories)})
            await import_sources(AdvisoryFiles(data), [str(advisories)], settings=AdvisorySettings(), clock=clock)
        else:
            AdvisoryFiles(data).ensure()
        async with (
            _pipeline(RememberedAnalyses(), scratch / "spool", data, settings, clock) as pipeline,
            open_source(reference, access, settings.source) as source,
        ):
            name = name_in_source(reference)
            result = await pipeline.scan(
                source, name=name, reference=str(reference), platform=platform, progress=progress
            )
            if isinstance(result, ImageIndex):
                own = _own_platform(result)
                others = [str(child.platform) for child in result.children if child.platform != own]
                progress("platform", {"chosen": str(own), "others": ", ".join(others)})
                result = await pipeline.scan(
                    source, name=name, reference=str(reference), platform=own, progress=progress
                )
    if isinstance(result, ImageIndex):
        raise TypeError("a named platform cannot resolve to an index")
    return unpack_report(result.report)


@asynccontextmanager
async def _pipeline(
    library: AnalysisLibrary,
    spool_folder: Path,
    data: Path,
    settings: ScannerSettings,
    clock: Clock,
) -> AsyncIterator[ScanPipeline]:
    workers = WorkerPool(processes=settings.worker_processes, memory_bytes=settings.worker_memory_bytes)
    async with LayerSpool(spool_folder, settings.spool_bytes) as spool:
        yield ScanPipeline(
            library=library,
            spool=spool,
            workers=workers,
            cataloging=CatalogStep(workers, settings.layer_seconds, settings.layer_limits),
            engine=ENGINE,
            data=data,
            settings=settings,
            advisory_settings=AdvisorySettings(),
            clock=clock,
        )


@asynccontextmanager
async def open_repository(
    settings: SourceSettings, access: RegistryAccess, name: RepositoryName
) -> AsyncIterator[ImageSource]:
    """Opens one repository of an instance's registry."""
    image = ImageName(repository=name, tag=None, digest=None)
    async with open_source(RegistryReference(host=access.address, image=image), access, settings) as source:
        yield source


def _own_platform(index: ImageIndex) -> Platform:
    """Returns the platform that this machine would run, or the index's first where it would run none."""
    own = _ARCHITECTURES.get(machine().lower(), machine().lower())
    for child in index.children:
        if (child.platform.os, child.platform.architecture) == ("linux", own):
            return child.platform
    return index.children[0].platform
