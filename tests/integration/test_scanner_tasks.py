"""What the scanner promises about tags, tasks and shared scans, on a real database."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from drydock.events.v1 import image_event_pb2
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_REQUESTS, Message, Record
from services.kernel.clock import SystemClock
from services.kernel.errors import ServiceError
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.scanner.api import State
from services.scanner.events import ScanRequested
from services.scanner.lanes import LANE_PERSON, LANE_PUSH
from services.scanner.records import ScannedImage, ScanRecord
from services.scanner.retention import agings
from tests.builders.retention import retention_of
from tests.builders.scanner import ScannerBench, good, image, lacking, scanned, scanner_bench


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


async def test_a_task_ends_complete_and_tells_so(scanner: ScannerBench) -> None:
    task = await scanner.ask(image())
    [ended] = await scanner.work_until(good, task.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert await scanner.events() == ["SCANNING", "COMPLETE"]
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.report") == 1
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.work") == 0


async def test_the_same_content_is_scanned_once_and_every_task_gets_its_end(scanner: ScannerBench) -> None:
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


async def test_new_advisories_scan_the_same_content_anew(scanner: ScannerBench) -> None:
    first = await scanner.ask(image())
    await scanner.work_until(good, first.task_id)
    scanner.versions.advisories = "a2"
    second = await scanner.ask(image())
    assert second.outcome.state is State.PENDING
    assert second.scan_id != first.scan_id


async def test_requests_of_one_batch_that_share_task_scan_or_tag_are_each_answered(scanner: ScannerBench) -> None:
    first, moved = scanner.request(image(b"one")), scanner.request(image(b"two"), revision=2)
    same_scan = scanner.request(image(b"one", tag="2.0"))
    async with scanner.pool.acquire() as db, db.transaction():
        tasks = await scanner.intake.accept(db, [moved, first, same_scan, first])
    assert [task.task_id for task in tasks] == [each.task_id for each in (moved, first, same_scan, first)]
    assert len({task.scan_id for task in tasks}) == 2
    ended = await scanner.work_until(good, *(task.task_id for task in tasks))
    assert {task.outcome.state for task in ended} == {State.COMPLETE}
    assert sorted(await scanner.events()) == ["COMPLETE"] * 3 + ["SCANNING"] * 3
    async with scanner.pool.acquire() as db, db.transaction():
        again = await scanner.intake.accept(db, [scanner.request(image(b"one", tag="3.0")), first])
    assert [task.outcome.state for task in again] == [State.COMPLETE, State.COMPLETE]


async def test_a_scan_that_lacks_an_answer_is_followed_by_another_one_when_somebody_asks_again(
    scanner: ScannerBench,
) -> None:
    runs: list[str] = []

    async def lack(scan: ScanRecord) -> ScannedImage:
        runs.append(scan.scan_id)
        return lacking(scan)

    first = await scanner.ask(image())
    await scanner.work_until(lack, first.task_id)
    second = await scanner.ask(image())
    assert second.outcome.state is State.PENDING
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.report") == 1
    await scanner.work_until(lack, second.task_id)
    third = await scanner.ask(image())
    [ended] = await scanner.work_until(good, third.task_id)
    assert (ended.outcome.reason, len(set(runs))) == ("", 2)
    last = await scanner.ask(image())
    assert (last.outcome.state, last.scan_id) == (State.COMPLETE, third.scan_id)


async def test_requests_of_one_batch_share_the_scan_that_follows_one_that_lacks_an_answer(
    scanner: ScannerBench,
) -> None:
    first = await scanner.ask(image())

    async def lack(scan: ScanRecord) -> ScannedImage:
        return lacking(scan)

    await scanner.work_until(lack, first.task_id)
    requests = [scanner.request(image(tag=tag)) for tag in ("1.0", "2.0")] + [scanner.request(image(b"other"))]
    async with scanner.pool.acquire() as db, db.transaction():
        tasks = await scanner.intake.accept(db, requests)
    assert len({first.scan_id, *(task.scan_id for task in tasks)}) == 3
    ended = await scanner.work_until(good, *(task.task_id for task in tasks))
    assert [(task.outcome.state, task.outcome.reason) for task in ended] == [(State.COMPLETE, "")] * 3
    async with scanner.pool.acquire() as db, db.transaction():
        [again] = await scanner.intake.accept(db, [scanner.request(image(tag="3.0"))])
    assert (again.outcome.state, again.scan_id) == (State.COMPLETE, tasks[0].scan_id)


@pytest.mark.parametrize(("lacks", "again"), [("", True), (";lacks=clamd", False)])
async def test_a_scan_made_without_clamd_is_followed_unless_it_was_begun_so(
    scanner: ScannerBench, lacks: str, again: bool
) -> None:
    async def without(scan: ScanRecord) -> ScannedImage:
        return lacking(scan, "CLAMD_UNAVAILABLE")

    scanner.versions.lacks = lacks
    first = await scanner.ask(image())
    await scanner.work_until(without, first.task_id)
    second = await scanner.ask(image())
    assert (second.scan_id != first.scan_id) is again


async def test_a_request_that_arrives_twice_is_one_task(scanner: ScannerBench) -> None:
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
            await scanner.intake.accept(db, [request])
    assert await scanner.events() == ["SCANNING"]


async def test_a_push_is_worked_on_before_what_people_asked_for_earlier(scanner: ScannerBench) -> None:
    order: list[Digest] = []

    async def note(scan: ScanRecord) -> ScannedImage:
        order.append(scan.key.digest)
        return scanned(scan)

    scanner.settings = scanner.settings.model_copy(update={"concurrent_scans": 1})
    person = await scanner.ask(image(b"person"), lane=LANE_PERSON)
    push = await scanner.ask(image(b"push"), lane=LANE_PUSH)
    await scanner.work_until(note, person.task_id, push.task_id)
    assert order == [digest_of(b"push"), digest_of(b"person")]


async def test_a_tag_never_moves_back_to_an_older_push(scanner: ScannerBench) -> None:
    new, old = image(b"new"), image(b"old")
    newest = await scanner.ask(new, revision=6)
    await scanner.ask(old, revision=5)
    async with scanner.pool.acquire() as db:
        assert await scanner.store.tag_digest(db, "crr-1", "1.0") == new.digest
        [found] = await scanner.store.tasks_of_tags(db, [("crr-1", "1.0")])
    assert found is not None
    assert found.task_id == newest.task_id


async def test_a_push_that_no_rule_wants_takes_the_old_verdict_from_the_tag(scanner: ScannerBench) -> None:
    task = await scanner.ask(image(b"old"), revision=5)
    await scanner.work_until(good, task.task_id)
    moved = dataclasses.replace(image(b"old"), digest=digest_of(b"new"))
    async with scanner.pool.acquire() as db:
        assert not await scanner.store.see_tags(db, [(moved, 6, datetime.now(UTC))])
        assert await scanner.store.tasks_of_tags(db, [("crr-1", "1.0")]) == [None]
        assert await scanner.store.tag_digest(db, "crr-1", "1.0") == digest_of(b"new")


async def test_an_event_that_cannot_be_read_is_refused(scanner: ScannerBench) -> None:
    for topic, handler in (
        (IMAGE_EVENTS, scanner.intake.see_pushes),
        (SCAN_REQUESTS, scanner.intake.take_requests),
    ):
        record = Record(message=Message(topic=topic, key=b"k", value=b"\xff\xff"), partition=0, position="0")
        with pytest.raises(ServiceError, match="cannot be read"):
            await handler([record])


async def test_a_push_that_is_told_again_does_not_move_the_tag_back(scanner: ScannerBench) -> None:
    old, new, again = (a_push(b"old", 1, "e1"), a_push(b"new", 2, "e2"), a_push(b"old", 3, "e1"))
    for record in (old, new, again):
        await scanner.intake.see_pushes([record])
    async with scanner.pool.acquire() as db:
        repo_id = await db.fetchval("SELECT repo_id FROM scanner.tag")
        assert await scanner.store.tag_digest(db, repo_id, "1.0") == digest_of(b"new")


def a_push(content: bytes, revision: int, name: str) -> Record:
    event = image_event_pb2.ImageEvent(
        event_id=str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        instance_id="cri-1",
        action=image_event_pb2.ImageEvent.ACTION_PUSH,
        namespace="team",
        repository="app",
        tag="1.0",
        digest=digest_of(content),
        revision=revision,
    )
    message = Message(topic=IMAGE_EVENTS, key=b"k", value=event.SerializeToString())
    return Record(message=message, partition=0, position="0")


async def test_a_task_on_what_the_registry_said_before_a_push_leaves_the_tag_to_the_push(
    scanner: ScannerBench,
) -> None:
    pushed = await scanner.ask(image(b"pushed"), revision=7)
    late = await scanner.ask(image(b"said before"), revision=6, lane=LANE_PERSON)
    async with scanner.pool.acquire() as db:
        assert await scanner.store.tag_digest(db, "crr-1", "1.0") == digest_of(b"pushed")
        [newest] = await scanner.store.tasks_of_tags(db, [("crr-1", "1.0")])
    assert newest is not None
    assert newest.task_id == pushed.task_id
    assert (await scanner.task(late.task_id)).image.digest == digest_of(b"said before")


async def test_events_are_forgotten_after_their_days(scanner: ScannerBench) -> None:
    await scanner.intake.see_pushes([a_push(b"old", 1, "e1"), a_push(b"new", 2, "e2")])
    await scanner.pool.execute(
        "UPDATE scanner.seen_event SET seen_at = seen_at - interval '31 days' WHERE event_id = $1",
        uuid.uuid5(uuid.NAMESPACE_OID, "e1"),
    )
    retention = retention_of("scanner", agings(scanner.settings), scanner.pool, SystemClock())
    assert await retention.clean(asyncio.Event()) == 1
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.seen_event") == 1
