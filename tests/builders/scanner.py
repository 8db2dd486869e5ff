"""A scanner whose pipeline the test scripts: real tables, leases and events."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from drydock.events.v1.scan_event_pb2 import ScanEvent
from services.kernel.clock import SystemClock
from services.kernel.db import Pool
from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.report import (
    SCHEMA,
    AdvisoriesInfo,
    Coverage,
    EngineInfo,
    Inventory,
    Report,
    ReportImage,
    Summary,
    count_by_severity,
)
from services.kernel.model.severity import Severity
from services.kernel.outbox import Outbox
from services.kernel.secrets import SecretBox
from services.kernel.wakeup import Wakeups
from services.registry.interface import ImageIndex
from services.rules.api import RunsApi
from services.scanner.api import State
from services.scanner.events import ScanRequested
from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH
from services.scanner.pipeline.record import Recorder
from services.scanner.records import ImageAddress, Outcome, ScannedImage, ScanRecord, TaskRecord
from services.scanner.reports import outcome_of, pack_report
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore
from services.scanner.tasks.control import Control
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.loans import Loans
from services.scanner.tasks.run_store import RunStore
from services.scanner.tasks.runs import Runs
from services.scanner.tasks.schedule import Scheduler
from services.scanner.tasks.tell import TaskTeller
from services.scanner.work.lanes import Slots
from services.scanner.work.worker import Worker
from tests.databases import migrated_pool

LOANS = Loans(SecretBox(b"k" * 32))
Script = Callable[[ScanRecord], Awaitable[ScannedImage | ImageIndex]]


class Versions:
    """Engine and advisories as the test says."""

    advisories = "a1"
    lacks = ""

    def engine_version(self, engine: Engine) -> str:
        return f"{engine.value};1{self.lacks}"

    def advisories_version(self, engine: Engine) -> str:
        return self.advisories


class ScannerBench:
    """Everything around the pipeline, which the test scripts."""

    def __init__(self, pool: Pool, url: str) -> None:
        self.pool = pool
        self.url = url
        self.store = ScannerStore()
        self.versions = Versions()
        clock, self.ids, self.outbox = SystemClock(), RandomIds(), Outbox("scanner")
        scheduler = Scheduler(self.store, self.versions)
        teller = TaskTeller(self.outbox, clock, self.ids)
        self.recorder = Recorder(pool=pool, store=self.store, scheduler=scheduler, teller=teller, clock=clock)
        self.runs = RunStore()
        self.teller = teller
        self.intake = Intake(
            pool=pool, store=self.store, runs=self.runs, scheduler=scheduler, teller=teller, clock=clock
        )
        self.settings = ScannerSettings(lease_seconds=3, retry_first_seconds=0, attempts=3)

    def request(
        self,
        image: ImageAddress,
        *,
        revision: int = 1,
        lane: int = LANE_PUSH,
        engine: Engine = Engine.SECURITY_CENTER,
        run_id: str = "",
        task_id: str = "",
        loan: bytes = b"",
    ) -> ScanRequested:
        return ScanRequested(
            task_id=task_id or str(uuid.uuid4()),
            image=image,
            revision=revision,
            engine=engine,
            rule_ids=("crscnr-1",),
            target_ids=("tgt-1",),
            requested_at=datetime.now(UTC),
            asked_at=datetime.now(UTC) if lane == LANE_PERSON or run_id else None,
            lane=LANE_BULK if run_id else lane,
            run_id=run_id,
            loan=loan,
        )

    async def ask(
        self,
        image: ImageAddress,
        *,
        revision: int = 1,
        lane: int = LANE_PUSH,
        engine: Engine = Engine.SECURITY_CENTER,
        run_id: str = "",
        task_id: str = "",
    ) -> TaskRecord:
        request = self.request(image, revision=revision, lane=lane, engine=engine, run_id=run_id, task_id=task_id)
        return await self.take(request)

    async def lend(self, image: ImageAddress, access: RegistryAccess) -> TaskRecord:
        """Asks for a scan with credentials of one's own."""
        task_id = str(uuid.uuid4())
        image = dataclasses.replace(image, tag="")
        loan = LOANS.seal(task_id, access)
        return await self.take(self.request(image, task_id=task_id, loan=loan))

    async def take(self, request: ScanRequested) -> TaskRecord:
        async with self.pool.acquire() as db, db.transaction():
            [task] = await self.intake.accept(db, [request])
        return task

    async def task(self, task_id: str) -> TaskRecord:
        async with self.pool.acquire() as db:
            found = await self.store.task(db, task_id)
        assert found is not None
        return found

    async def work_until(self, script: Script, *task_ids: str) -> list[TaskRecord]:
        """Runs a worker until the tasks have ended."""
        stopping = asyncio.Event()
        wakeups = Wakeups(self.url)
        worker = Worker(
            owner="test",
            pool=self.pool,
            store=self.store,
            recorder=self.recorder,
            work=lambda lease, scan: script(scan),
            wakeups=wakeups,
            settings=self.settings,
            random_source=random.Random(1),
            slots=Slots(self.settings.concurrent_scans, self.settings.reserved_scans),
        )
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            group.create_task(wakeups.run(stopping))
            group.create_task(worker.run(stopping))
            while True:
                tasks = [await self.task(task_id) for task_id in task_ids]
                if all(task.outcome.state.ended for task in tasks):
                    stopping.set()
                    return tasks
                await asyncio.sleep(0.05)

    async def events(self) -> list[str]:
        """States told so far, in order."""
        return [ScanEvent.State.Name(event.state)[6:] for event in await self.told()]

    async def told(self) -> list[ScanEvent]:
        """Events told so far, in order."""
        rows = await self.pool.fetch("SELECT value FROM scanner.outbox ORDER BY id")
        return [ScanEvent.FromString(row["value"]) for row in rows]


def a_control(bench: ScannerBench, runs: Runs, rules: RunsApi) -> Control:
    return Control(
        pool=bench.pool,
        tasks=bench.store,
        store=bench.runs,
        runs=runs,
        rules=rules,
        intake=bench.intake,
        teller=bench.teller,
        clock=SystemClock(),
    )


@asynccontextmanager
async def scanner_bench(url: str) -> AsyncIterator[ScannerBench]:
    """Builds a scanner without its pipeline on a fresh database."""
    async with migrated_pool(url, ("scanner", "services.scanner")) as pool:
        yield ScannerBench(pool, url)


def image(
    content: bytes = b"one", tag: str = "1.0", repo_id: str = "crr-1", repository: str = "app"
) -> ImageAddress:
    return ImageAddress(
        instance_id="cri-1",
        repo_id=repo_id,
        namespace="team",
        repository=repository,
        tag=tag,
        digest=digest_of(content),
    )


def report(digest: str, platform: str) -> Report:
    return Report(
        schema=SCHEMA,
        image=ReportImage(reference="r", digest=digest, platform=platform, layers=()),
        engine=EngineInfo(name="SECURITY_CENTER", version="1"),
        advisories=AdvisoriesInfo(version="a1", built_at="2026-01-01T00:00:00Z", sample=False),
        inventory=Inventory(packages=()),
        findings=(),
        summary=Summary(
            packages=1, findings=0, by_severity=count_by_severity(()), coverage=Coverage.FULL, coverage_reason=""
        ),
        warnings=(),
    )


def scanned(scan: ScanRecord, platform: str = "linux/amd64") -> ScannedImage:
    return scanned_digest(scan.key.digest, platform)


def scanned_digest(digest: Digest, platform: str = "linux/amd64") -> ScannedImage:
    outcome = Outcome(
        state=State.COMPLETE,
        coverage=Coverage.FULL,
        findings=dict.fromkeys(Severity, 0),
        advisories_version="a1",
    )
    return ScannedImage(platform=platform, report=pack_report(report(digest, platform)), outcome=outcome)


def lacking(scan: ScanRecord, reason: str = "CLAMD_FAILED") -> ScannedImage:
    """Scanned while clamd failed to answer, or was away."""
    platform = scan.platform or "linux/amd64"
    full = report(scan.key.digest, platform)
    summary = msgspec.structs.replace(full.summary, coverage=Coverage.PARTIAL, coverage_reason=reason)
    partial = msgspec.structs.replace(full, summary=summary)
    return ScannedImage(platform=platform, report=pack_report(partial), outcome=outcome_of(partial))


async def good(scan: ScanRecord) -> ScannedImage:
    return scanned(scan)
