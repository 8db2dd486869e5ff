"""One scan for several repositories: what one of them lacks fails its own tasks, and no other's."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from drydock.events.v1.scan_event_pb2 import ScanEvent
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.registry.limits import ImageLimits
from services.scanner.api import State
from services.scanner.lanes import LANES
from services.scanner.pipeline.record import LeaseLost
from services.scanner.records import ImageAddress, Lease, ScannedImage, ScanRecord, TaskRecord
from services.scanner.work.puller import Puller
from tests.builders.scanner import LOANS, ScannerBench, image, scanned_digest, scanner_bench


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


def of(repository: str, content: bytes = b"one", tag: str = "1.0") -> ImageAddress:
    return image(content, tag=tag, repository=repository, repo_id=f"crr-{repository}")


class Registry:
    """The repositories that have the content; what they answer when they have not."""

    def __init__(self, *having: str, why: Reason = Reason.IMAGE_NOT_FOUND) -> None:
        self.having = {f"team/{name}" for name in having}
        self.asked: list[str] = []
        self.indexes: dict[str, ImageIndex] = {}
        self.lacking: set[tuple[str, str]] = set()
        """Repository and digest: what a repository lacks of what it has."""
        self._why = why

    async def registry_access(self, instance: str) -> RegistryAccess:
        return RegistryAccess(address="127.0.0.1:1")

    @asynccontextmanager
    async def open(self, access: RegistryAccess, name: RepositoryName) -> AsyncIterator[str]:
        self.asked.append(name.path)
        yield name.path

    async def scan(self, source: str, *, name: str, reference: str, lease: Lease) -> ScannedImage | ImageIndex:
        if source not in self.having or (source, name) in self.lacking:
            raise ScanFailure(self._why, f"There is no image {source}@{name}.")
        return self.indexes.get(name) or scanned_digest(Digest(name))


class Work:
    """Does scans by the real puller; a test may step in between a failure and its record."""

    def __init__(self, registry: Registry) -> None:
        self._puller = Puller(
            rules=registry,  # type: ignore[arg-type]  # the part it uses
            loans=LOANS,
            open_source=registry.open,  # type: ignore[arg-type]  # the part it uses
            pipeline=registry,  # type: ignore[arg-type]  # the part it uses
            trivy=registry,  # type: ignore[arg-type]  # nobody asks it
            limits=ImageLimits(),
        )
        self.after_failure: list[Callable[[], Awaitable[None]]] = []
        self.before: dict[Digest, Callable[[], Awaitable[None]]] = {}

    async def __call__(self, scan: ScanRecord) -> ScannedImage | ImageIndex:
        if step := self.before.pop(scan.key.digest, None):
            await step()
        try:
            return await self._puller.scan(Lease(scan_id=scan.scan_id, fence=1, attempts=1, lane=0), scan)
        except ScanFailure:
            if self.after_failure:
                await self.after_failure.pop(0)()
            raise


def an_index(name: bytes, *children: bytes) -> ImageIndex:
    return ImageIndex(
        digest=digest_of(name),
        children=tuple(
            IndexChild(
                descriptor=Descriptor(media_type="m", digest=digest_of(child), size=1),
                platform=Platform(os="linux", architecture=child.decode()),
            )
            for child in children
        ),
    )


def ends(*tasks: TaskRecord) -> list[tuple[str, str]]:
    return [(task.image.repository, task.outcome.reason or task.outcome.state.value) for task in tasks]


async def test_a_repository_that_lost_the_image_fails_its_own_tasks_only(scanner: ScannerBench) -> None:
    registry = Registry("b")
    asked = [await scanner.ask(of("a")), await scanner.ask(of("b")), await scanner.ask(of("a", tag="2.0"))]
    tasks = await scanner.work_until(Work(registry), *(task.task_id for task in asked))
    assert ends(*tasks) == [("a", "IMAGE_NOT_FOUND"), ("b", "COMPLETE"), ("a", "IMAGE_NOT_FOUND")]
    assert registry.asked == ["team/a", "team/b"]


async def test_a_task_that_joins_while_another_repository_fails_is_scanned(scanner: ScannerBench) -> None:
    work = Work(Registry("b"))
    lost = await scanner.ask(of("a"))
    joined: list[str] = []

    async def join() -> None:
        joined.append((await scanner.ask(of("b"))).task_id)

    work.after_failure.append(join)
    [first] = await scanner.work_until(work, lost.task_id)
    [second] = await scanner.work_until(work, *joined)
    assert ends(first, second) == [("a", "IMAGE_NOT_FOUND"), ("b", "COMPLETE")]


async def test_a_push_after_the_question_is_asked_for_anew(scanner: ScannerBench) -> None:
    registry = Registry()
    work = Work(registry)
    deleted = await scanner.ask(of("a"))
    again: list[str] = []

    async def push_again() -> None:
        registry.having.add("team/a")
        again.append((await scanner.ask(of("a"))).task_id)

    work.after_failure.append(push_again)
    [first] = await scanner.work_until(work, deleted.task_id)
    [second] = await scanner.work_until(work, *again)
    assert ends(first, second) == [("a", "IMAGE_NOT_FOUND"), ("a", "COMPLETE")]


@pytest.mark.parametrize("why", [reason for reason in Reason if reason.of_repository])
async def test_what_a_registry_says_of_one_repository_holds_for_no_other(
    scanner: ScannerBench, why: Reason
) -> None:
    asked = [await scanner.ask(of(name)) for name in "abc"]
    tasks = await scanner.work_until(Work(Registry("c", why=why)), *(task.task_id for task in asked))
    assert ends(*tasks) == [("a", why.code), ("b", why.code), ("c", "COMPLETE")]
    for task in tasks[:2]:
        assert f"team/{task.image.repository}@" in task.outcome.message
    told = [event for event in await scanner.told() if event.repository == "c"]
    assert [ScanEvent.State.Name(event.state) for event in told] == ["STATE_SCANNING", "STATE_COMPLETE"]


async def test_any_number_of_repositories_is_asked(scanner: ScannerBench) -> None:
    names = [f"r{number}" for number in range(scanner.settings.attempts * 3)]
    asked = [await scanner.ask(of(name)) for name in names]
    tasks = await scanner.work_until(Work(Registry(names[-1])), *(task.task_id for task in asked))
    assert ends(*tasks) == [*((name, "IMAGE_NOT_FOUND") for name in names[:-1]), (names[-1], "COMPLETE")]


async def test_an_image_that_nobody_has_is_missing_under_every_name(scanner: ScannerBench) -> None:
    asked = [await scanner.ask(of(name)) for name in "ab"]
    tasks = await scanner.work_until(Work(Registry()), *(task.task_id for task in asked))
    for task in tasks:
        assert task.outcome.message == f"There is no image team/{task.image.repository}@{task.image.digest}."
    later = await scanner.ask(of("c"))
    [found] = await scanner.work_until(Work(Registry("c")), later.task_id)
    assert ends(found) == [("c", "COMPLETE")]


async def test_a_platform_that_one_repository_lacks_fails_the_index_there_only(scanner: ScannerBench) -> None:
    registry = Registry("a", "b")
    registry.indexes = {digest_of(b"index"): an_index(b"index", b"amd64", b"arm64")}
    registry.lacking = {("team/a", digest_of(b"arm64"))}
    asked = [await scanner.ask(of(name, b"index")) for name in "ab"]
    tasks = await scanner.work_until(Work(registry), *(task.task_id for task in asked))
    assert ends(*tasks) == [("a", "IMAGE_NOT_FOUND"), ("b", "COMPLETE")]
    assert tasks[0].outcome.message.startswith("linux/arm64: There is no image team/a@")


async def test_a_platform_of_two_indexes_is_read_where_one_of_them_has_it(
    scanner: ScannerBench,
) -> None:
    registry = Registry("a", "b")
    registry.indexes = {
        digest_of(b"first"): an_index(b"first", b"shared"),
        digest_of(b"second"): an_index(b"second", b"shared", b"own"),
    }
    registry.lacking = {("team/a", digest_of(b"shared"))}
    asked = [await scanner.ask(of("a", b"first")), await scanner.ask(of("b", b"second"))]
    tasks = await scanner.work_until(Work(registry), *(task.task_id for task in asked))
    assert ends(*tasks) == [("a", "IMAGE_NOT_FOUND"), ("b", "COMPLETE")]


async def test_an_index_that_joins_after_a_platform_failed_elsewhere_is_scanned(scanner: ScannerBench) -> None:
    registry = Registry("a", "b")
    registry.indexes = {digest_of(b"index"): an_index(b"index", b"amd64", b"arm64")}
    registry.lacking = {("team/a", digest_of(b"amd64"))}
    work = Work(registry)
    first = await scanner.ask(of("a", b"index"))
    joined: list[str] = []

    async def join_when_the_other_has_failed() -> None:
        while not (await scanner.task(first.task_id)).outcome.state.ended:
            await asyncio.sleep(0.02)
        joined.append((await scanner.ask(of("b", b"index"))).task_id)

    work.before[digest_of(b"arm64")] = join_when_the_other_has_failed
    [lost] = await scanner.work_until(work, first.task_id)
    [found] = await scanner.work_until(work, *joined)
    assert ends(lost, found) == [("a", "IMAGE_NOT_FOUND"), ("b", "COMPLETE")]


async def test_an_index_that_is_read_again_does_not_end_by_its_old_platforms(scanner: ScannerBench) -> None:
    registry = Registry("a")
    registry.indexes = {
        digest_of(b"index"): an_index(b"index", b"amd64", b"arm64"),
        digest_of(b"other"): an_index(b"other", b"arm64", b"s390x"),
    }
    registry.lacking = {("team/a", digest_of(b"amd64"))}
    first = await scanner.ask(of("a", b"index"))
    await scanner.work_until(Work(registry), first.task_id)
    await scanner.pool.execute("UPDATE scanner.scan SET state = 'FAILED', reason = 'INTERNAL', ended_at = now()")
    await scanner.pool.execute("DELETE FROM scanner.work")
    registry.lacking.clear()
    again = await scanner.ask(of("a", b"index"))
    # A platform that it had the last time ends before the index itself is read again.
    async with scanner.pool.acquire() as db:
        await db.execute("UPDATE scanner.work SET due_at = now() + interval '1 hour'")
        part = await db.fetchval("SELECT scan_id FROM scanner.scan WHERE digest = $1", digest_of(b"arm64"))
        await db.execute("UPDATE scanner.scan SET state = 'RUNNING', ended_at = NULL WHERE scan_id = $1", part)
        await scanner.store.enqueue(db, [(str(part), 0, "cri-1/team")])
        lease = await scanner.store.claim(db, "ours", 30.0, LANES)
        assert lease is not None
    await scanner.recorder.begin([lease])
    await scanner.recorder.fail(lease, ScanFailure(Reason.INTERNAL, "It broke."))
    assert (await scanner.task(again.task_id)).outcome.state is State.PENDING


async def test_a_worker_that_lost_its_lease_fails_nobody(scanner: ScannerBench) -> None:
    task = await scanner.ask(of("a"))
    async with scanner.pool.acquire() as db:
        late = await scanner.store.claim(db, "late", 0.0, LANES)
        ours = await scanner.store.claim(db, "ours", 30.0, LANES)
    assert late is not None
    assert ours is not None
    await scanner.recorder.begin([ours])
    with pytest.raises(LeaseLost):
        await scanner.recorder.fail_in_repository(late, ScanFailure(Reason.IMAGE_NOT_FOUND, "Gone."))
    assert (await scanner.task(task.task_id)).outcome.state is State.RUNNING


async def test_each_task_of_many_ends_as_its_own_repository_has_it(scanner: ScannerBench) -> None:
    chance = random.Random(7)
    having = {f"r{number}" for number in range(0, 12, 2)}
    registry = Registry(*having)
    registry.indexes = {digest_of(b"index"): an_index(b"index", b"amd64", b"arm64")}
    work = Work(registry)
    tasks: list[str] = []

    async def join_some() -> None:
        for _ in range(chance.randrange(3)):
            if len(tasks) < 60:
                content = chance.choice([b"index", b"amd64", b"one"])
                tasks.append((await scanner.ask(of(f"r{chance.randrange(12)}", content))).task_id)

    work.after_failure = [join_some] * 1000
    while len(tasks) < 60:
        await join_some()
        await scanner.work_until(work, *tasks)
    for task in await scanner.work_until(work, *tasks):
        wanted = {"COMPLETE"} if task.image.repository in having else {"COMPLETE", "IMAGE_NOT_FOUND"}
        [(name, end)] = ends(task)
        assert end in wanted, task
        assert end == "COMPLETE" or f"team/{name}@" in task.outcome.message
