"""A scanner whose images are really judged, and advisories that change: what re-evaluation works on."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ParamSpec, TypeVar

from prometheus_client import CollectorRegistry

from drydock.events.v1.scan_event_pb2 import ScanEvent
from services.kernel.model.digest import Digest
from services.kernel.model.finding import FindingKind
from services.kernel.model.report import Layer, Report
from services.lab.layer import Compression, LayerBuilder
from services.layers.limits import LayerLimits
from services.scanner.advisories.compile import Source
from services.scanner.advisories.database import Meta
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.engine import ENGINE
from services.scanner.layers.analyse import analyse_layer
from services.scanner.pipeline.case import Case
from services.scanner.pipeline.judge import judge
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord, TaskRecord
from services.scanner.reevaluate.evaluator import Reevaluator
from services.scanner.reevaluate.matching import Matcher
from services.scanner.reevaluate.metrics import ReevaluationMetrics
from services.scanner.reevaluate.store import ReevaluationStore
from services.scanner.reevaluate.write import VerdictWriter
from services.scanner.reports import read_report
from services.scanner.tasks.tell import TaskTeller
from services.scanner.work.lanes import Slots
from tests.builders.advisories import NOW, Json, write_lines
from tests.builders.records import DEBIAN, STATUS, dpkg_status
from tests.builders.scanner import ScannerBench, image, scanner_bench

P = ParamSpec("P")
T = TypeVar("T")
MAX_AGE = timedelta(days=7)


class NowClock:
    """Stands at the day after the records were made."""

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


class InlineWorkers:
    """Does in this process what others would do."""

    async def run_patiently(
        self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        return function(*args, **kwargs)


class TrivyHas:
    """Trivy's database as the test says."""

    advisories_version = "none"
    advisories_at: datetime | None = None


class ReevaluationStage:
    """Images of Debian packages, scanned with the advisories of a data directory."""

    def __init__(self, bench: ScannerBench, folder: Path) -> None:
        self.bench = bench
        self.pool = bench.pool
        self.data = folder / "data"
        self.files = AdvisoryFiles(self.data)
        self.meta: Meta = self._read()
        self.trivy = TrivyHas()
        self.workers = InlineWorkers()
        self._folder = folder
        self._imports = 0

    async def advise(self, *records: Json) -> str:
        """Imports advisories in place of those that were there, and returns their version."""
        self._imports += 1
        source = write_lines(self._folder / f"records-{self._imports}.ndjson", records)
        at = NOW + timedelta(minutes=self._imports)
        self.meta = self.files.install([Source(path=source, name="test")], now=at)
        self.bench.versions.advisories = self.meta.version
        return self.meta.version

    async def scan(
        self,
        packages: Mapping[str, str],
        address: ImageAddress | None = None,
        *,
        digest: Digest | None = None,
        inventory: bool = True,
    ) -> TaskRecord:
        """Scans an image with these packages, whose configuration makes it run as root."""
        await self.reevaluator().enter()
        task = await self.bench.ask(address or image())

        async def script(scan: ScanRecord) -> ScannedImage:
            return self.judged(scan.key.digest, packages, kept=inventory)

        [ended] = await self.bench.work_until(script, task.task_id)
        return ended

    def judged(
        self, digest: Digest, packages: Mapping[str, str], *, platform: str = "linux/amd64", kept: bool = True
    ) -> ScannedImage:
        """What a scan makes of one layer with these packages."""
        layer = (
            LayerBuilder()
            .file("etc/os-release", DEBIAN)
            .file(STATUS, dpkg_status(**packages))
            .build(Compression.NONE)
        )
        file = self._folder / uuid.uuid4().hex
        file.write_bytes(layer.content)
        media_type = layer.media_type_for(docker=False)
        return judge(
            Case(
                reference="r",
                digest=digest,
                platform=platform,
                layers=(Layer(digest=layer.digest, diff_id=layer.diff_id, size=len(layer.content)),),
                config=b'{"config": {"User": "root"}}',
                analyses=(analyse_layer(str(file), media_type=media_type, limits=LayerLimits()),),
                engine=ENGINE,
                data=self.data,
                kinds=frozenset(FindingKind),
                complaints=(),
                now=NOW,
                max_age=MAX_AGE,
                kept=kept,
            )
        )

    def reevaluator(self, teller: TaskTeller | None = None, slots: Slots | None = None) -> Reevaluator:
        store = ReevaluationStore()
        return Reevaluator(
            pool=self.pool,
            store=store,
            advisories=self,
            trivy=self.trivy,
            matcher=Matcher(
                pool=self.pool,
                store=store,
                scans=self.bench.store,
                workers=self.workers,
                data=self.data,
                max_age=MAX_AGE,
                seconds=30,
                clock=NowClock(),
            ),
            writer=VerdictWriter(
                pool=self.pool,
                store=store,
                scans=self.bench.store,
                teller=teller or self.bench.teller,
                clock=NowClock(),
            ),
            slots=slots or Slots(4, 1),
            metrics=ReevaluationMetrics(CollectorRegistry()),
            at_once=1,
            max_age=MAX_AGE,
        )

    async def catch_up(self) -> Sequence[ScanEvent]:
        """Matches all that lags behind; returns the events that came of it."""
        before = len(await self.bench.told())
        async with asyncio.timeout(60):
            await self.reevaluator().catch_up(asyncio.Event())
        return (await self.bench.told())[before:]

    async def report(self, task: TaskRecord) -> Report:
        """The report of an image of one platform as readers see it."""
        async with self.pool.acquire() as db:
            stored = await self.bench.store.reports(db, [task.scan_id])
        return read_report(stored[task.scan_id])

    def _read(self) -> Meta:
        with self.files.open() as database:
            return database.meta


@asynccontextmanager
async def reevaluation_stage(url: str, folder: Path) -> AsyncIterator[ReevaluationStage]:
    """Builds a scanner with the sample of advisories on a fresh database."""
    async with scanner_bench(url) as bench:
        yield ReevaluationStage(bench, folder)
