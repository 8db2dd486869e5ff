"""What the scanner promises about tasks and scans, on a real database with scripted scans."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest

from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_REQUESTS, Message, Record
from services.kernel.clock import SystemClock
from services.kernel.db import Pool
from services.kernel.ids import RandomIds
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.platform import Platform
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
from services.kernel.wakeup import Wakeups
from services.scanner.api import State
from services.scanner.events import ScanRequested
from services.scanner.images.interface import Descriptor, ImageIndex, IndexChild
from services.scanner.intake import Intake
from services.scanner.pipeline.record import LeaseLost, Recorder
from services.scanner.reasons import Reason, ScanFailure
from services.scanner.records import ImageAddress, Outcome, ScannedImage, ScanRecord, TaskRecord
from services.scanner.reports import pack_report
from services.scanner.schedule import LANE_PERSON, LANE_PUSH, Scheduler
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore
from services.scanner.tell import TaskTeller
from services.scanner.worker import Worker
from tests.databases import migrated_pool

Script = Callable[[ScanRecord], Awaitable[ScannedImage | ImageIndex]]


class Versions:
    advisories = "a1"

    def engine_version(self, engine: Engine) -> str:
        return f"{engine.value};1"

    def advisories_version(self) -> str:
        return self.advisories


class Scanner:
    """Everything around the pipeline, which the test scripts."""

    def __init__(self, pool: Pool, url: str) -> None:
        self.pool = pool
        self.url = url
        self.store = ScannerStore()
        self.versions = Versions()
        clock, ids = SystemClock(), RandomIds()
        scheduler = Scheduler(self.store, self.versions)
        teller = TaskTeller(Outbox("scanner"), clock, ids)
        self.recorder = Recorder(pool=pool, store=self.store, scheduler=scheduler, teller=teller, clock=clock)
        self.intake = Intake(pool=pool, store=self.store, scheduler=scheduler, teller=teller, clock=clock)
        self.settings = ScannerSettings(lease_seconds=3, retry_first_seconds=0, attempts=3)

    async def ask(self, image: ImageAddress, *, revision: int = 1, lane: int = LANE_PUSH) -> TaskRecord:
        request = ScanRequested(
            task_id=str(uuid.uuid4()),
            image=image,
            revision=revision,
            engine=Engine.SECURITY_CENTER,
            rule_ids=("crscnr-1",),
            target_ids=("tgt-1",),
            requested_at=datetime.now(UTC),
        )
        async with self.pool.acquire() as db, db.transaction():
            return await self.intake.accept(db, request, lane=lane)

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
            work=script,
            wakeups=wakeups,
            settings=self.settings,
            random_source=random.Random(1),
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
        from drydock.events.v1.scan_event_pb2 import ScanEvent

        rows = await self.pool.fetch("SELECT value FROM scanner.outbox ORDER BY id")
        return [ScanEvent.State.Name(ScanEvent.FromString(row["value"]).state)[6:] for row in rows]


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[Scanner]:
    async with migrated_pool(database, ("scanner", "services.scanner")) as pool:
        yield Scanner(pool, database)


def image(content: bytes = b"one", tag: str = "1.0", repo_id: str = "crr-1") -> ImageAddress:
    return ImageAddress(
        instance_id="cri-1",
        repo_id=repo_id,
        namespace="team",
        repository="app",
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
    outcome = Outcome(
        state=State.COMPLETE,
        coverage=Coverage.FULL,
        findings=dict.fromkeys(Severity, 0),
        advisories_version="a1",
    )
    return ScannedImage(platform=platform, report=pack_report(report(scan.key.digest, platform)), outcome=outcome)


async def good(scan: ScanRecord) -> ScannedImage:
    return scanned(scan)


async def test_a_task_ends_complete_and_tells_so(scanner: Scanner) -> None:
    task = await scanner.ask(image())
    [ended] = await scanner.work_until(good, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "COMPLETE"]
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.report") == 1
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.work") == 0


async def test_the_same_content_is_scanned_once_and_every_task_gets_its_end(scanner: Scanner) -> None:
    runs: list[str] = []

    async def count(scan: ScanRecord) -> ScannedImage:
        runs.append(scan.scan_id)
        return scanned(scan)

    first = await scanner.ask(image())
    second = await scanner.ask(image(tag="2.0"))
    ended = await scanner.work_until(count, first.task_id, second.task_id)
    third = await scanner.ask(image(tag="3.0"))
    assert third.outcome.state is State.COMPLETE
    assert len(runs) == 1
    assert [task.outcome.state for task in ended] == [State.COMPLETE, State.COMPLETE]
    assert sorted(await scanner.events()) == ["COMPLETE"] * 3 + ["SCANNING"] * 3


async def test_new_advisories_scan_the_same_content_anew(scanner: Scanner) -> None:
    first = await scanner.ask(image())
    await scanner.work_until(good, first.task_id)
    scanner.versions.advisories = "a2"
    second = await scanner.ask(image())
    assert second.outcome.state is State.PENDING
    assert second.scan_id != first.scan_id


async def test_a_request_that_arrives_twice_is_one_task(scanner: Scanner) -> None:
    request = ScanRequested(
        task_id=str(uuid.uuid4()),
        image=image(),
        revision=1,
        engine=Engine.SECURITY_CENTER,
        rule_ids=(),
        target_ids=(),
        requested_at=datetime.now(UTC),
    )
    for _ in range(2):
        async with scanner.pool.acquire() as db, db.transaction():
            await scanner.intake.accept(db, request, lane=LANE_PUSH)
    assert await scanner.events() == ["SCANNING"]


async def test_a_passing_failure_is_tried_again_and_told(scanner: Scanner) -> None:
    tries = 0

    async def third_time(scan: ScanRecord) -> ScannedImage:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise ScanFailure(Reason.REGISTRY_ERROR, "The registry answered 502.")
        return scanned(scan)

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(third_time, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "RETRYING", "RETRYING", "COMPLETE"]


async def test_a_failure_that_does_not_pass_ends_the_scan_after_the_last_attempt(scanner: Scanner) -> None:
    async def never(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.REGISTRY_ERROR, "The registry answered 502.")

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(never, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "REGISTRY_ERROR")
    assert await scanner.events() == ["SCANNING", "RETRYING", "RETRYING", "FAILED"]


async def test_a_failure_of_the_content_is_remembered_and_not_tried_again(scanner: Scanner) -> None:
    runs = 0

    async def bomb(scan: ScanRecord) -> ScannedImage:
        nonlocal runs
        runs += 1
        raise ScanFailure(Reason.LAYER_EXPANDS_TOO_FAR, "The layer grows without end.")

    first = await scanner.ask(image())
    await scanner.work_until(bomb, first.task_id)
    second = await scanner.ask(image(tag="again"))
    assert (second.outcome.state, second.outcome.reason) == (State.FAILED, "LAYER_EXPANDS_TOO_FAR")
    assert runs == 1


async def test_a_failure_that_somebody_can_mend_is_tried_again_on_request(scanner: Scanner) -> None:
    async def locked(scan: ScanRecord) -> ScannedImage:
        raise ScanFailure(Reason.REGISTRY_UNAUTHORIZED, "The registry wants other credentials.")

    first = await scanner.ask(image())
    await scanner.work_until(locked, first.task_id)
    second = await scanner.ask(image())
    [ended] = await scanner.work_until(good, second.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert (await scanner.task(first.task_id)).outcome.state is State.FAILED


async def test_a_bug_in_the_pipeline_is_a_failed_scan_and_not_a_dead_worker(scanner: Scanner) -> None:
    async def broken(scan: ScanRecord) -> ScannedImage:
        raise KeyError("secret-text")

    task = await scanner.ask(image())
    [ended] = await scanner.work_until(broken, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "INTERNAL")
    assert "secret-text" not in ended.outcome.message


async def test_an_index_is_complete_when_all_its_platforms_are(scanner: Scanner) -> None:
    children = (
        IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64")),
        IndexChild(descriptor=_descriptor(b"arm64"), platform=Platform(os="linux", architecture="arm64")),
    )

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=children)
        return scanned(scan, scan.platform)

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "COMPLETE"]
    async with scanner.pool.acquire() as db:
        parts = await scanner.store.parts_of(db, task.scan_id)
    assert [part.platform for part in parts] == ["linux/amd64", "linux/arm64"]


async def test_an_index_fails_when_one_platform_does_and_says_which(scanner: Scanner) -> None:
    children = (
        IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64")),
        IndexChild(descriptor=_descriptor(b"arm64"), platform=Platform(os="linux", architecture="arm64")),
    )

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if scan.key.digest == digest_of(b"index"):
            return ImageIndex(digest=digest_of(b"index"), children=children)
        if scan.key.digest == digest_of(b"arm64"):
            raise ScanFailure(Reason.LAYER_CORRUPT, "The layer is cut off.")
        return scanned(scan, scan.platform)

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "LAYER_CORRUPT")
    assert ended.outcome.message.startswith("linux/arm64: ")


async def test_an_index_whose_platforms_are_known_ends_at_once(scanner: Scanner) -> None:
    child = IndexChild(descriptor=_descriptor(b"amd64"), platform=Platform(os="linux", architecture="amd64"))
    single = await scanner.ask(image(b"amd64"))
    await scanner.work_until(good, single.task_id)
    runs: list[Digest] = []

    async def index(scan: ScanRecord) -> ScannedImage | ImageIndex:
        runs.append(scan.key.digest)
        return ImageIndex(digest=digest_of(b"index"), children=(child,))

    task = await scanner.ask(image(b"index"))
    [ended] = await scanner.work_until(index, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert runs == [digest_of(b"index")]


def _descriptor(content: bytes) -> Descriptor:
    return Descriptor(media_type="m", digest=digest_of(content), size=1)


async def test_a_writer_that_lost_its_lease_changes_nothing(scanner: Scanner) -> None:
    task = await scanner.ask(image())
    async with scanner.pool.acquire() as db:
        [late] = await scanner.store.claim(db, "late", 0.0, 1)
        [ours] = await scanner.store.claim(db, "ours", 30.0, 1)
    [scan] = await scanner.recorder.begin([ours])
    result = scanned(scan)
    with pytest.raises(LeaseLost):
        await scanner.recorder.complete(late, result.platform, result.report, result.outcome)
    with pytest.raises(LeaseLost):
        await scanner.recorder.retry(late, ScanFailure(Reason.INTERNAL, "late"), 1)
    assert (await scanner.task(task.task_id)).outcome.state is State.RUNNING
    await scanner.recorder.complete(ours, result.platform, result.report, result.outcome)
    assert (await scanner.task(task.task_id)).outcome.state is State.COMPLETE


async def test_a_scan_whose_worker_always_dies_fails_in_the_end(scanner: Scanner) -> None:
    task = await scanner.ask(image())
    for _ in range(scanner.settings.attempts):
        async with scanner.pool.acquire() as db:
            assert await scanner.store.claim(db, "dying", 0.0, 1)
    [ended] = await scanner.work_until(good, task.task_id)
    assert (ended.outcome.state, ended.outcome.reason) == (State.FAILED, "WORKER_DIED")


async def test_a_push_is_worked_on_before_what_people_asked_for_earlier(scanner: Scanner) -> None:
    order: list[Digest] = []

    async def note(scan: ScanRecord) -> ScannedImage:
        order.append(scan.key.digest)
        return scanned(scan)

    scanner.settings = scanner.settings.model_copy(update={"concurrent_scans": 1})
    person = await scanner.ask(image(b"person"), lane=LANE_PERSON)
    push = await scanner.ask(image(b"push"), lane=LANE_PUSH)
    await scanner.work_until(note, person.task_id, push.task_id)
    assert order == [digest_of(b"push"), digest_of(b"person")]


async def test_a_tag_never_moves_back_to_an_older_push(scanner: Scanner) -> None:
    new, old = image(b"new"), image(b"old")
    newest = await scanner.ask(new, revision=6)
    await scanner.ask(old, revision=5)
    async with scanner.pool.acquire() as db:
        assert await scanner.store.tag_digest(db, "crr-1", "1.0") == new.digest
        found = await scanner.store.task_of_tag(db, "crr-1", "1.0")
    assert found is not None
    assert found.task_id == newest.task_id


async def test_a_push_that_no_rule_wants_takes_the_old_verdict_from_the_tag(scanner: Scanner) -> None:
    task = await scanner.ask(image(b"old"), revision=5)
    await scanner.work_until(good, task.task_id)
    moved = dataclasses.replace(image(b"old"), digest=digest_of(b"new"))
    async with scanner.pool.acquire() as db:
        await scanner.store.see_tag(db, moved, 6, datetime.now(UTC))
        assert await scanner.store.task_of_tag(db, "crr-1", "1.0") is None
        assert await scanner.store.tag_digest(db, "crr-1", "1.0") == digest_of(b"new")


async def test_an_event_that_cannot_be_read_is_refused(scanner: Scanner) -> None:
    from services.kernel.errors import ServiceError

    for topic, handler in (
        (IMAGE_EVENTS, scanner.intake.see_pushes),
        (SCAN_REQUESTS, scanner.intake.take_requests),
    ):
        record = Record(message=Message(topic=topic, key=b"k", value=b"\xff\xff"), partition=0, position="0")
        with pytest.raises(ServiceError, match="cannot be read"):
            await handler([record])
