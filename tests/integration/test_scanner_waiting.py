"""Waiting for a scan: the row is the truth, a notification only a hint, and one connection serves all who wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.kernel.rpc import call_context
from services.lab.push import push_image
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.scanner.api import ImageQuery, ImageStanding, State, Task
from services.scanner.records import Outcome, ScannedImage, ScanRecord
from services.scanner.settings import ScannerSettings
from tests.builders.application import Stage, scanner_stage
from tests.builders.images import an_image
from tests.builders.scanner import good, image
from tests.registries import RunningRegistry, lab_registry

SELDOM = ScannerSettings(wait_look_seconds=600, most_waiters=5_001)
"""Nobody looks by himself in the time that a test takes: what comes, notifications brought."""
LONG = 20.0
SHORT = 1.5  # for a registry beside busy tests to say what the tag is


@pytest.fixture
async def registry() -> AsyncIterator[RunningRegistry]:
    async with lab_registry() as running:
        yield running


@pytest.fixture
async def stage(database: str, registry: RunningRegistry) -> AsyncIterator[Stage]:
    async with scanner_stage(database, registry.access.address, settings=SELDOM) as opened:
        yield opened


async def a_push(registry: RunningRegistry, *texts: str, tag: str = "1.0") -> Digest:
    return Digest(await push_image(registry.access, "team/app", tag, an_image(*texts)))


def query(tag: str = "1.0", digest: Digest | None = None, task_id: str = "") -> ImageQuery:
    if task_id:
        return ImageQuery(instance="", task_id=task_id)
    return ImageQuery(instance="lab", namespace="team", repository="app", tag=tag, digest=digest)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await holds():
            await asyncio.sleep(0.01)


async def somebody_waits(stage: Stage, count: int = 1) -> None:
    """Waits until so many wait."""

    async def holds() -> bool:
        return stage.waiting.count == count

    await until(holds)


async def test_whoever_waits_is_told_the_end_that_a_notification_brought(
    stage: Stage, registry: RunningRegistry
) -> None:
    digest = await a_push(registry)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.application.wait_for_end(query(), LONG))
        await somebody_waits(stage)
        task = await stage.application.create_task(query())
        assert task.state is State.PENDING
        await stage.bench.work_until(good, task.task_id)
        async with asyncio.timeout(5):
            ended = await waiting
    assert (ended.task_id, ended.state, ended.digest) == (task.task_id, State.COMPLETE, digest)


async def test_what_has_ended_already_is_told_at_once(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    task = await stage.application.create_task(query())
    await stage.bench.work_until(good, task.task_id)
    for named in (
        query(),
        query(digest=task.digest),
        query(tag="", digest=task.digest),
        query(task_id=task.task_id),
    ):
        assert (await stage.application.wait_for_end(named, LONG)).state is State.COMPLETE


async def test_when_the_time_is_up_the_task_is_told_as_it_stands(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    with pytest.raises(ServiceError) as caught:
        await stage.application.wait_for_end(query(), SHORT)
    assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "IMAGE_NOT_SCANNED")
    task = await stage.application.create_task(query())
    assert (await stage.application.wait_for_end(query(), SHORT)).state is State.PENDING
    assert (await stage.application.wait_for_end(query(task_id=task.task_id), 0.0)).state is State.PENDING


async def test_a_tag_that_has_moved_is_waited_for_as_the_registry_has_it_now(
    stage: Stage, registry: RunningRegistry
) -> None:
    old = await a_push(registry)
    task = await stage.application.create_task(query())
    await stage.bench.work_until(good, task.task_id)
    new = await a_push(registry, "another")
    with pytest.raises(ServiceError, match=new):
        await stage.application.wait_for_end(query(), SHORT)
    assert (await stage.application.wait_for_end(query(digest=old), LONG)).digest == old


async def test_a_tag_that_the_registry_has_not_is_no_reason_to_wait(stage: Stage) -> None:
    with pytest.raises(ServiceError) as caught:
        await stage.application.wait_for_end(query(tag="none"), LONG)
    assert caught.value.reason in ("TAG_NOT_EXIST", "REPO_NOT_EXIST")


async def test_a_commit_between_the_look_and_the_sleep_is_not_missed(
    stage: Stage, registry: RunningRegistry
) -> None:
    """Every wait begins while the very commit that it waits for is made."""
    await a_push(registry)
    for _ in range(40):
        task = await stage.application.create_task(query())
        named = query(task_id=task.task_id)
        async with asyncio.timeout(5), asyncio.TaskGroup() as group:
            waiting = [group.create_task(stage.application.wait_for_end(named, LONG)) for _ in range(4)]
            group.create_task(end_task(stage, task))
        assert {each.result().state for each in waiting} == {State.FAILED}


async def end_task(stage: Stage, task: Task) -> None:
    """Ends a task from another connection, as another scanner would."""
    record = await stage.bench.task(task.task_id)
    async with stage.ground.pool.acquire() as db, db.transaction():
        await stage.bench.store.end_tasks(
            db, record.scan_id, Outcome(state=State.FAILED, reason="CANCELLED"), stage.ground.clock.now()
        )


async def test_a_listener_that_was_cut_off_costs_nobody_the_answer(
    stage: Stage, registry: RunningRegistry
) -> None:
    await a_push(registry)
    task = await stage.application.create_task(query())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(stage.application.wait_for_end(query(), LONG))
        await somebody_waits(stage)
        async with stage.ground.pool.acquire() as db:
            cut = await db.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drydock wakeups'"
                " AND datname = current_database()"
            )
        assert cut
        await end_task(stage, task)  # while nobody listens
        async with asyncio.timeout(10):
            assert (await waiting).state is State.FAILED


async def test_thousands_wait_with_one_connection_that_listens_and_all_are_told(
    stage: Stage, registry: RunningRegistry
) -> None:
    await a_push(registry)
    task = await stage.application.create_task(query())
    by_digest = query(tag="", digest=task.digest)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        waiting = [group.create_task(stage.application.wait_for_end(by_digest, 60)) for _ in range(5_000)]
        await somebody_waits(stage, 5_000)

        async def idle() -> bool:
            return bool(await stage.ground.pool.fetchval(_BUSY) == 0)

        await until(idle)
        names = await stage.ground.pool.fetch(_CONNECTIONS)
        counts = {row["application_name"]: row["count"] for row in names}
        assert counts["drydock wakeups"] == 1
        # Nobody holds a connection while waiting: all of them fit into the pool that there was anyway.
        assert sum(counts.values()) <= 20, counts
        await end_task(stage, task)
    assert {each.result().state for each in waiting} == {State.FAILED}


_CONNECTIONS = (
    "SELECT application_name, count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() GROUP BY application_name"
)
_BUSY = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"
)


async def test_more_than_there_is_room_for_are_sent_away(database: str, registry: RunningRegistry) -> None:
    await a_push(registry)
    settings = ScannerSettings(most_waiters=1)
    async with scanner_stage(database, registry.access.address, settings=settings) as stage:
        await stage.application.create_task(query())
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(stage.application.wait_for_end(query(), LONG))
            await somebody_waits(stage)
            with pytest.raises(ServiceError) as caught:
                await stage.application.wait_for_end(query(), LONG)
            assert (caught.value.kind, caught.value.reason) == (Kind.RESOURCE_EXHAUSTED, "TOO_MANY_WAITERS")
            waiting.cancel()
        # Whoever goes makes room.
        assert (await stage.application.wait_for_end(query(), SHORT)).state is State.PENDING


async def test_no_key_takes_the_places_of_all_others(database: str, registry: RunningRegistry) -> None:
    await a_push(registry)
    settings = ScannerSettings(most_waiters=9)
    async with scanner_stage(database, registry.access.address, settings=settings) as stage:
        await stage.application.create_task(query())

        async def wait_as(key: str) -> Task:
            with call_context.acting_for(key):
                return await stage.application.wait_for_end(query(), LONG)

        async with asyncio.TaskGroup() as group:
            waiting = []
            for key, places in (("greedy", 6), ("second", 2), ("third", 1)):
                for _ in range(places):
                    waiting.append(group.create_task(wait_as(key)))
                    await somebody_waits(stage, len(waiting))
                with pytest.raises(ServiceError) as caught:
                    await wait_as(key)
                assert (caught.value.reason, caught.value.retry_after) == ("TOO_MANY_WAITERS", 5.0), key
            for each in waiting:
                each.cancel()
        # Whoever goes makes room.
        with call_context.acting_for("greedy"):
            assert (await stage.application.wait_for_end(query(), SHORT)).state is State.PENDING


async def test_whoever_waits_while_the_process_stops_is_sent_on(stage: Stage, registry: RunningRegistry) -> None:
    await a_push(registry)
    await stage.application.create_task(query())
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(refused(stage.application.wait_for_end(query(), LONG)))
        await somebody_waits(stage)
        stage.ground.process.stopping.set()
        async with asyncio.timeout(5):
            assert (await waiting).reason == "STOPPING"


async def refused(asked: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await asked
    return caught.value


# watching


def an_index(digest: Digest, *architectures: str) -> ImageIndex:
    children = tuple(
        IndexChild(
            descriptor=Descriptor(media_type="", digest=digest_of(each.encode()), size=0),
            platform=Platform(os="linux", architecture=each),
        )
        for each in architectures
    )
    return ImageIndex(digest=digest, children=children)


async def test_a_watch_tells_every_state_with_its_reason_and_ends_with_the_last(
    stage: Stage, registry: RunningRegistry
) -> None:
    digest = await a_push(registry)
    told: list[ImageStanding] = []

    async def watch() -> None:
        async with aclosing(stage.application.watch(query())) as standings:  # type: ignore[type-var]  # a generator
            async for standing in standings:
                told.append(standing)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(watch())

        async def seen(count: int) -> None:
            async def holds() -> bool:
                return len(told) >= count

            await until(holds)

        await seen(1)
        task = await stage.application.create_task(query())
        await seen(2)
        record = await stage.bench.task(task.task_id)
        for number, outcome in enumerate(
            (
                Outcome(state=State.RUNNING),
                Outcome(state=State.RETRYING, reason="REGISTRY_TIMEOUT", message="It is slow."),
            )
        ):
            async with stage.ground.pool.acquire() as db:
                await stage.bench.store.change_tasks(db, [record.scan_id], outcome)
            await seen(3 + number)
        await end_task(stage, task)
    states = [(each.task.state, each.task.reason) if each.task else None for each in told]
    assert states == [
        None,
        (State.PENDING, ""),
        (State.RUNNING, ""),
        (State.RETRYING, "REGISTRY_TIMEOUT"),
        (State.FAILED, "CANCELLED"),
    ]
    assert {each.digest for each in told} == {digest}


async def test_a_watch_of_several_platforms_tells_how_many_have_ended(
    stage: Stage, registry: RunningRegistry
) -> None:
    address = image(b"index")
    index = an_index(address.digest, "amd64", "arm64")
    task = await stage.bench.ask(address)
    told: list[int] = []

    async def work(scan: ScanRecord) -> ScannedImage | ImageIndex:
        return index if scan.key.digest == address.digest else await good(scan)

    async def watch() -> None:
        async for standing in stage.application.watch(query(task_id=task.task_id)):
            assert standing.task is not None
            told.append(sum(1 for scan in standing.task.platforms if scan.state is State.COMPLETE))

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        watching = group.create_task(watch())
        await somebody_waits(stage)
        await stage.bench.work_until(work, task.task_id)
        await watching
    assert told == sorted(told)
    assert told[-1] == 2
