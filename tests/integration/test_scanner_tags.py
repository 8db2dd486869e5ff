"""Which digest a tag has: pushes in any order, clocks that are wrong, and the registry as the judge."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import random
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from drydock.events.v1 import image_event_pb2
from services.kernel.bus.interface import IMAGE_EVENTS, Message, Record
from services.kernel.clock import SystemClock
from services.kernel.db import Connection
from services.kernel.errors import ServiceError, not_found
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.wakeup import Wakeups
from services.registry.interface import Descriptor
from services.scanner.events import ScanRequested
from services.scanner.lanes import LANE_PERSON, LANE_PUSH
from services.scanner.records import DoubtedTag, ImageAddress, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tags.settle import Settler
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.run_store import RunStore
from services.scanner.tasks.schedule import Scheduler
from services.scanner.tasks.tell import TaskTeller
from tests.builders.rules import deletion_of_a_tag
from tests.builders.scanner import ScannerBench, image, scanner_bench

REPO_ID = repository_id("cri-1", RepositoryName(namespace="team", name="app"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Registry:
    """What the registry has, as far as the settler asks: one repository's tags."""

    def __init__(self, content: bytes | None) -> None:
        self.digest = digest_of(content) if content else None
        self.failure: ServiceError | None = None
        self.questions = 0
        self.before_answer: Callable[[], Awaitable[None]] | None = None

    async def registry_access(self, instance: str) -> RegistryAccess:
        return RegistryAccess(address="127.0.0.1:1")

    @asynccontextmanager
    async def open(self, access: RegistryAccess, name: RepositoryName) -> AsyncIterator[Registry]:
        assert name.path == "team/app"
        yield self

    async def head(self, reference: str) -> Descriptor:
        self.questions += 1
        digest = self.digest
        if step := self.before_answer:
            self.before_answer = None
            await step()
        if self.failure:
            raise self.failure
        if digest is None:
            raise ScanFailure(Reason.IMAGE_NOT_FOUND, f"There is no image team/app:{reference}.")
        return Descriptor(media_type="m", digest=digest, size=1)


@dataclasses.dataclass(frozen=True)
class TagRow:
    """A tag as it stands."""

    digest: Digest
    task_id: str | None
    doubted: bool


class Scene:
    """A scanner, its settler, and the registry that it asks."""

    def __init__(self, scanner: ScannerBench, content: bytes | None = b"new") -> None:
        self.scanner = scanner
        self.registry = Registry(content)
        self.settings = scanner.settings.model_copy(update={"tag_question_seconds": 5.0})

    def settler(self) -> Settler:
        return Settler(
            pool=self.scanner.pool,
            store=self.scanner.store,
            rules=self.registry,  # type: ignore[arg-type]  # the part it uses
            open_source=self.registry.open,  # type: ignore[arg-type]  # the part it uses
            wakeups=Wakeups(self.scanner.url),
            clock=SystemClock(),
            settings=self.settings,
        )

    async def see(self, *records: Record) -> None:
        await self.scanner.intake.see_pushes(records)

    async def settle(self) -> int:
        """Asks for all that is due; returns how many tags that were."""
        settler, count = self.settler(), 0
        while doubts := await settler.claim(10):
            for tag in doubts:
                await settler.settle(tag)
            count += len(doubts)
        return count

    async def later(self) -> None:
        """Lets all pauses pass."""
        await self.scanner.pool.execute("UPDATE scanner.tag SET ask_at = now() WHERE doubted_at IS NOT NULL")

    async def tag(self) -> TagRow:
        row = await self.scanner.pool.fetchrow("SELECT digest, task_id, doubted_at FROM scanner.tag")
        assert row is not None
        task_id = str(row["task_id"]) if row["task_id"] else None
        return TagRow(digest=Digest(row["digest"]), task_id=task_id, doubted=row["doubted_at"] is not None)

    async def ask(self, content: bytes, revision: int, lane: int = LANE_PUSH) -> TaskRecord:
        return await self.scanner.ask(an_image(content), revision=revision, lane=lane)


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    async with scanner_bench(database) as bench:
        yield Scene(bench)


def an_image(content: bytes) -> ImageAddress:
    return image(content, repo_id=REPO_ID)


def a_push(content: bytes, revision: int, minutes: float) -> Record:
    """A push that the registry says was made so many minutes after noon."""
    event = image_event_pb2.ImageEvent(
        event_id=str(uuid.uuid4()),
        instance_id="cri-1",
        action=image_event_pb2.ImageEvent.ACTION_PUSH,
        namespace="team",
        repository="app",
        tag="1.0",
        digest=digest_of(content),
        revision=revision,
    )
    event.occurred_at.FromDatetime(NOON + timedelta(minutes=minutes))
    message = Message(topic=IMAGE_EVENTS, key=b"k", value=event.SerializeToString())
    return Record(message=message, partition=0, position="0")


async def doubted(scene: Scene) -> None:
    """The new push, then an older one."""
    await scene.see(a_push(b"new", 5, minutes=2))
    await scene.see(a_push(b"old", 6, minutes=1))


async def test_an_older_push_that_arrives_late_leaves_the_tag_and_asks_the_registry(scene: Scene) -> None:
    await doubted(scene)
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=True)
    assert await scene.settle() == 1
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_push_that_only_a_wrong_clock_calls_older_wins_by_the_registrys_word(scene: Scene) -> None:
    await scene.see(a_push(b"before the clock was set back", 5, minutes=60))
    await scene.see(a_push(b"new", 6, minutes=1))
    task = await scene.ask(b"new", 6)
    assert (await scene.tag()).digest == digest_of(b"before the clock was set back")
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), task.task_id, doubted=False)


async def test_the_order_of_arrival_decides_where_nobody_contradicts_it(scene: Scene) -> None:
    for revision, content in enumerate((b"one", b"two", b"three")):
        await scene.see(a_push(content, revision, minutes=0))
        assert await scene.tag() == TagRow(digest_of(content), None, doubted=False)


async def test_an_event_that_is_older_both_ways_is_no_reason_to_ask(scene: Scene) -> None:
    await scene.see(a_push(b"new", 6, minutes=2))
    await scene.see(a_push(b"old", 5, minutes=1))
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_push_that_the_clock_calls_newer_than_its_arrival_is_a_reason_to_ask(scene: Scene) -> None:
    await scene.see(a_push(b"old", 6, minutes=1))
    await scene.see(a_push(b"new", 5, minutes=2))
    assert await scene.tag() == TagRow(digest_of(b"old"), None, doubted=True)
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_the_same_digest_again_is_no_reason_to_ask(scene: Scene) -> None:
    await scene.see(a_push(b"new", 5, minutes=2))
    await scene.see(a_push(b"new", 6, minutes=1))
    assert not (await scene.tag()).doubted


async def test_a_deleted_tag_is_no_push_and_is_no_poison(scene: Scene) -> None:
    await scene.see(a_push(b"new", 5, minutes=2), deletion_of_a_tag("cri-1"))
    assert (await scene.tag()).digest == digest_of(b"new")


async def test_a_clock_that_runs_ahead_does_not_hold_a_tag(scene: Scene) -> None:
    now = (datetime.now(UTC) - NOON) / timedelta(minutes=1)
    await scene.see(a_push(b"from the future", 5, minutes=now + 5_000_000))
    await scene.see(a_push(b"new", 6, minutes=(datetime.now(UTC) - NOON) / timedelta(minutes=1) + 0.01))
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_clock_that_was_set_back_freezes_no_tag(scene: Scene) -> None:
    await scene.see(a_push(b"first", 1, minutes=60 * 24))
    for revision in range(2, 6):
        content = f"push {revision}".encode()
        scene.registry.digest = digest_of(content)
        await scene.see(a_push(content, revision, minutes=revision))
        await scene.settle()
        assert await scene.tag() == TagRow(digest_of(content), None, doubted=False)


async def test_requests_and_events_end_at_the_same_in_every_order(scene: Scene) -> None:
    for order in itertools.permutations(("event new", "event old", "request new", "request old")):
        await scene.scanner.pool.execute("TRUNCATE scanner.tag, scanner.task, scanner.scan, scanner.work CASCADE")
        tasks: dict[str, str] = {}
        for step in order:
            what, _, which = step.partition(" ")
            revision, minutes = {"new": (5, 2), "old": (6, 1)}[which]
            if what == "event":
                await scene.see(a_push(which.encode(), revision, minutes=minutes))
            else:
                tasks[which] = (await scene.ask(which.encode(), revision)).task_id
        await scene.settle()
        assert await scene.tag() == TagRow(digest_of(b"new"), tasks["new"], doubted=False), order


async def test_the_request_of_a_doubted_push_does_not_move_the_tag(scene: Scene) -> None:
    await doubted(scene)
    await scene.ask(b"old", 6)
    assert (await scene.tag()).digest == digest_of(b"new")


async def test_a_request_that_comes_again_does_not_take_the_tag_back_to_its_older_task(scene: Scene) -> None:
    await scene.see(a_push(b"new", 5, minutes=2))
    first = request(b"new", datetime.now(UTC))
    second = request(b"new", datetime.now(UTC) + timedelta(seconds=1))
    for each in (first, second, first):
        async with scene.scanner.pool.acquire() as db, db.transaction():
            await scene.scanner.intake.accept(db, [each])
    assert (await scene.tag()).task_id == second.task_id


def request(content: bytes, at: datetime) -> ScanRequested:
    return ScanRequested(
        task_id=str(uuid.uuid4()),
        image=an_image(content),
        revision=5,
        engine=Engine.SECURITY_CENTER,
        rule_ids=(),
        target_ids=(),
        requested_at=at,
    )


async def test_a_tag_that_the_registry_no_longer_has_stays_as_it_is(scene: Scene) -> None:
    await doubted(scene)
    scene.registry.digest = None
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_an_instance_that_is_gone_is_asked_no_more(scene: Scene) -> None:
    await doubted(scene)
    scene.registry.failure = not_found("INSTANCE_NOT_EXIST", "There is no such instance.")
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_registry_that_is_away_is_asked_again_after_growing_pauses(scene: Scene) -> None:
    scene.settings = scene.settings.model_copy(
        update={"retry_first_seconds": 100.0, "retry_longest_seconds": 1000.0}
    )
    await doubted(scene)
    scene.registry.failure = ScanFailure(Reason.REGISTRY_UNREACHABLE, "It is away.")
    pauses: list[float] = []
    for _ in range(6):
        assert await scene.settle() == 1
        pauses.append(
            await scene.scanner.pool.fetchval("SELECT extract(epoch FROM ask_at - now()) FROM scanner.tag")
        )
        await scene.later()
    assert all(45 < pause <= 1005 for pause in pauses)
    assert pauses[0] < 106 < pauses[2]
    scene.registry.failure = None
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_registry_that_stays_away_is_given_up_in_the_end(scene: Scene) -> None:
    await doubted(scene)
    scene.registry.failure = ScanFailure(Reason.REGISTRY_UNREACHABLE, "It is away.")
    await scene.settle()
    assert (await scene.tag()).doubted
    await scene.scanner.pool.execute("UPDATE scanner.tag SET doubted_at = doubted_at - interval '31 days'")
    await scene.later()
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_an_answer_from_before_a_push_does_not_undo_it(scene: Scene) -> None:
    await doubted(scene)

    async def push_meanwhile() -> None:
        scene.registry.digest = digest_of(b"newest")
        await scene.see(a_push(b"newest", 7, minutes=3))

    scene.registry.before_answer = push_meanwhile
    assert await scene.settle() == 2
    assert scene.registry.questions == 2
    assert await scene.tag() == TagRow(digest_of(b"newest"), None, doubted=False)


async def test_what_a_dead_process_had_taken_is_asked_by_another(scene: Scene) -> None:
    await doubted(scene)
    scene.registry.failure = ScanFailure(Reason.REGISTRY_UNREACHABLE, "It is away.")
    [taken] = await scene.settler().claim(10)
    assert await scene.settler().claim(10) == ()
    await scene.later()
    scene.registry.failure = None
    assert await scene.settle() == 1
    await scene.settler().settle(taken)  # the first one was only slow
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=False)


async def test_a_doubt_is_written_with_the_event_or_not_at_all(scene: Scene) -> None:
    class Failing(ScannerStore):
        async def announce_doubts(self, db: Connection) -> None:
            raise ConnectionResetError

    bench, late = scene.scanner, a_push(b"old", 6, minutes=1)
    await scene.see(a_push(b"new", 5, minutes=2))
    store, clock = Failing(), SystemClock()
    dying = Intake(
        pool=bench.pool,
        store=store,
        runs=RunStore(),
        scheduler=Scheduler(store, bench.versions),
        teller=TaskTeller(bench.outbox, clock, bench.ids),
        clock=clock,
    )
    with pytest.raises(ConnectionResetError):
        await dying.see_pushes([late])
    assert not (await scene.tag()).doubted
    await scene.see(late)
    assert (await scene.tag()).doubted
    await scene.see(late)
    await scene.settle()
    await scene.see(late)
    assert not (await scene.tag()).doubted


async def test_a_persons_task_answers_the_doubt(scene: Scene) -> None:
    await doubted(scene)
    task = await scene.ask(b"old", 6, LANE_PERSON)
    assert await scene.tag() == TagRow(digest_of(b"old"), task.task_id, doubted=False)
    assert await scene.settle() == 0


async def test_a_persons_task_that_asked_before_a_doubted_push_leaves_the_tag_to_the_registry(
    scene: Scene,
) -> None:
    await doubted(scene)
    await scene.ask(b"old", 5, LANE_PERSON)
    assert await scene.tag() == TagRow(digest_of(b"new"), None, doubted=True)


async def test_an_old_push_under_another_id_does_not_undo_what_a_person_was_told(scene: Scene) -> None:
    await scene.see(a_push(b"old", 5, minutes=1))
    task = await scene.ask(b"new", 5, LANE_PERSON)
    await scene.see(a_push(b"old", 6, minutes=1))
    await scene.settle()
    assert await scene.tag() == TagRow(digest_of(b"new"), task.task_id, doubted=False)


async def run_settlers(scene: Scene, number: int, until: Callable[[], Awaitable[bool]]) -> None:
    stopping = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        for _ in range(number):
            group.create_task(scene.settler().run(stopping))
        while not await until():
            await asyncio.sleep(0.02)
        stopping.set()


async def test_several_scanners_ask_once(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    await doubted(scene)
    claim, in_vain, all_have_looked = Settler.claim, set[Settler](), asyncio.Event()

    async def watched(settler: Settler, limit: int) -> tuple[DoubtedTag, ...]:
        doubts = await claim(settler, limit)
        if not doubts:
            in_vain.add(settler)
        if len(in_vain) == 3:
            all_have_looked.set()
        return doubts

    async def after_all_have_looked() -> None:
        await all_have_looked.wait()

    async def settled() -> bool:
        return not (await scene.tag()).doubted

    monkeypatch.setattr(Settler, "claim", watched)
    scene.registry.before_answer = after_all_have_looked
    await run_settlers(scene, 3, settled)
    assert scene.registry.questions == 1


@pytest.mark.parametrize("right", ["arrival", "clock"])
@pytest.mark.parametrize("seed", range(4))
async def test_a_tag_ends_at_what_the_registry_has_when_arrival_or_clock_is_wrong(
    scene: Scene, right: str, seed: int
) -> None:
    chance = random.Random(seed)
    pushes = [f"push {number}".encode() for number in range(8)]
    scene.registry.digest = digest_of(pushes[-1])
    numbers = list(range(8))
    shuffled = chance.sample(numbers, 8)
    revisions, minutes = (numbers, shuffled) if right == "arrival" else (shuffled, numbers)
    records = [a_push(*each) for each in zip(pushes, revisions, minutes, strict=True)]
    waiting: Sequence[Record] = sorted(records, key=lambda record: chance.random())
    tasks: dict[bytes, str] = {}

    async def arrive() -> None:
        for record in waiting:
            await scene.see(record)
            await asyncio.sleep(chance.uniform(0, 0.02))

    async def request_all() -> None:
        for content, revision in chance.sample(list(zip(pushes, revisions, strict=True)), 8):
            tasks[content] = (await scene.ask(content, revision)).task_id

    async with asyncio.TaskGroup() as group:
        group.create_task(arrive())
        group.create_task(request_all())
        group.create_task(scene.settle())
    await scene.later()

    async def settled() -> bool:
        return not (await scene.tag()).doubted

    await run_settlers(scene, 2, settled)
    assert (await scene.tag()).digest == digest_of(pushes[-1])
    assert (await scene.tag()).task_id == tasks[pushes[-1]]
