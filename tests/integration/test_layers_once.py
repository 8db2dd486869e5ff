"""A layer that two scans want at the same moment is read once, whichever scanners they run in."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.kernel.clock import SystemClock
from services.kernel.db import Pool
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.finding import FindingKind
from services.kernel.model.reference import parse_reference
from services.kernel.model.report import Coverage
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.workers.pool import WorkerPool
from services.lab.image import BuiltImage, build_image, write_layout
from services.layers.file import LayerFile
from services.registry.limits import SourceSettings
from services.registry.spool import LayerSpool
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.bounds import ScanBounds
from services.scanner.engine import ENGINE
from services.scanner.images.open import name_in_source, open_source
from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.inspection import Inspection
from services.scanner.lanes import LANES
from services.scanner.layers.store import AnalysisStore
from services.scanner.layers.stored import StoredAnalyses
from services.scanner.pipeline.catalog import CatalogStep
from services.scanner.pipeline.scan import ScanPipeline
from services.scanner.records import Lease, ScannedImage
from services.scanner.search import Search
from services.scanner.store import ScannerStore
from tests.builders.images import a_layer
from tests.builders.workers import spawned_workers
from tests.databases import migrated_pool
from tests.fakes.clamd import fake_clamd

BASE, FIRST, SECOND = a_layer("base"), a_layer("first"), a_layer("second")
IMAGES = {"first": build_image([BASE, FIRST]), "second": build_image([BASE, SECOND])}


class Reading(CatalogStep):
    """Reads for real; a test may hold or break the reading of a layer."""

    def __init__(self, workers: WorkerPool) -> None:
        super().__init__(workers, 60)
        self.read: list[Digest] = []
        self.reads_base = asyncio.Event()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.breaks = False

    async def catalog(
        self, file: LayerFile, inspection: Inspection | None = None, *, patient: bool = False
    ) -> bytes:
        self.read.append(file.descriptor.digest)
        if file.descriptor.digest == BASE.digest:
            self.reads_base.set()
            await self.may_go_on.wait()
            if self.breaks:
                raise ScanFailure(Reason.WORKER_DIED, "It died.")
        return await super().catalog(file, inspection, patient=patient)


class Node:
    """One scanner process as far as its pipeline goes."""

    def __init__(self, folder: Path, pool: Pool, workers: WorkerPool, spool: LayerSpool) -> None:
        self.reading = Reading(workers)
        self._layouts = folder
        self.search = Search()
        self._pipeline = ScanPipeline(
            library=StoredAnalyses(pool, AnalysisStore(), lambda inspection: "analysers"),
            spool=spool,
            workers=workers,
            cataloging=self.reading,
            search=lambda: self.search,
            engine=ENGINE,
            data=folder,
            bounds=ScanBounds(),
            clock=SystemClock(),
        )

    async def scan(self, image: str, lease: Lease) -> ScannedImage:
        reference = parse_reference(f"oci:{self._layouts}/images:{image}")
        async with open_source(reference, None, SourceSettings()) as source:
            name = name_in_source(reference)
            result = await self._pipeline.scan(source, name=name, reference=image, lease=lease)
        assert isinstance(result, ScannedImage)
        return result


@asynccontextmanager
async def nodes(folder: Path, pool: Pool) -> AsyncIterator[tuple[Node, Node]]:
    AdvisoryFiles(folder).ensure()
    images: dict[str, BuiltImage] = IMAGES
    write_layout(folder / "images", images)
    workers = spawned_workers()
    async with (
        LayerSpool(folder / "spool", 1 << 30) as one,
        LayerSpool(folder / "spool", 1 << 30) as other,
    ):
        yield Node(folder, pool, workers, one), Node(folder, pool, workers, other)


async def a_lease(pool: Pool, *, seconds: float = 60) -> Lease:
    store, scan_id = ScannerStore(), str(uuid.uuid4())
    async with pool.acquire() as db:
        await store.enqueue(db, [(scan_id, 0, "cri-1/team")])
        lease = await store.claim(db, "test", seconds, LANES)
        assert lease is not None
    return lease


async def give_back(pool: Pool, lease: Lease) -> None:
    async with pool.acquire() as db:
        await ScannerStore().release(db, lease)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with migrated_pool(database, ("scanner", "services.scanner")) as pool:
        yield pool


async def test_a_common_base_is_read_by_one_of_two_scanners(pool: Pool, tmp_path: Path) -> None:
    async with nodes(tmp_path, pool) as (one, other), asyncio.TaskGroup() as scans:
        one.reading.may_go_on.clear()
        first = scans.create_task(one.scan("first", await a_lease(pool)))
        await one.reading.reads_base.wait()
        second = scans.create_task(other.scan("second", await a_lease(pool)))
        while SECOND.digest not in other.reading.read:  # what is its own it reads meanwhile
            await asyncio.sleep(0.01)
        assert not second.done()
        one.reading.may_go_on.set()
        await asyncio.gather(first, second)
        assert sorted(one.reading.read + other.reading.read) == sorted(
            layer.digest for layer in (BASE, FIRST, SECOND)
        )


async def test_the_layer_of_a_reader_that_failed_is_read_by_who_waited(pool: Pool, tmp_path: Path) -> None:
    async with nodes(tmp_path, pool) as (one, other), asyncio.TaskGroup() as scans:
        one.reading.may_go_on.clear()
        one.reading.breaks = True
        lease = await a_lease(pool)
        first = asyncio.create_task(one.scan("first", lease))
        await one.reading.reads_base.wait()
        second = scans.create_task(other.scan("second", await a_lease(pool)))
        one.reading.may_go_on.set()
        with pytest.raises(ScanFailure):
            await first
        assert BASE.digest not in other.reading.read
        await give_back(pool, lease)
        await second
        assert BASE.digest in other.reading.read


async def test_what_somebody_failed_to_answer_for_is_kept_for_no_other_scan(pool: Pool, tmp_path: Path) -> None:
    async with nodes(tmp_path, pool) as (one, other):
        with fake_clamd(tmp_path) as clamd:
            asked = Search(inspection=Inspection(clamd=Clamd(address=clamd.address)), kinds=frozenset(FindingKind))
            one.search = other.search = asked
            clamd.says = [b"stream: out of memory ERROR\0"]
            lacking = await one.scan("first", await a_lease(pool, seconds=2))
            assert (lacking.outcome.coverage, lacking.outcome.reason) == (Coverage.NONE, "CLAMD_FAILED")
            whole = await other.scan("first", await a_lease(pool))
        assert whole.outcome.reason != "CLAMD_FAILED"
        assert len(other.reading.read) == 1


async def test_the_layer_of_a_reader_that_died_is_read_when_its_lease_is_over(pool: Pool, tmp_path: Path) -> None:
    async with nodes(tmp_path, pool) as (one, other):
        one.reading.may_go_on.clear()
        first = asyncio.create_task(one.scan("first", await a_lease(pool, seconds=1)))
        await one.reading.reads_base.wait()
        first.cancel()
        await other.scan("second", await a_lease(pool))
        assert BASE.digest in other.reading.read


async def test_turns_go_with_the_work(pool: Pool) -> None:
    library, layer = StoredAnalyses(pool, AnalysisStore(), lambda inspection: "analysers"), digest_of(b"layer")
    lease, other = await a_lease(pool), await a_lease(pool)
    assert await library.take_turns([layer], None, lease) == {layer}
    assert await library.take_turns([layer], None, lease) == {layer}
    assert await library.take_turns([layer], None, other) == frozenset()
    newer = StoredAnalyses(pool, AnalysisStore(), lambda inspection: "newer")
    assert await newer.take_turns([layer], None, other) == {layer}
    async with pool.acquire() as db:
        await ScannerStore().finish(db, lease)
        assert await db.fetchval("SELECT count(*) FROM scanner.layer_turn WHERE analysers = 'analysers'") == 0
    assert await library.take_turns([layer], None, other) == {layer}
