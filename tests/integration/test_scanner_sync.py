"""What goes when a registry deletes something, and what stays: a real registry is asked, honest or not."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import uuid
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from drydock.events.v1.image_event_pb2 import ImageEvent, ListedTag
from services.kernel.bus.interface import IMAGE_EVENTS, Message, Record
from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.platform import Platform
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.lab.faults import Disconnect, Fault, Status
from services.lab.image import Built, build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.registry.limits import RetryPolicy, SourceSettings, Timeouts
from services.registry.open import open_repository
from services.scanner.api import State
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord, TaskRecord
from services.scanner.retention import agings
from services.scanner.settings import ScannerSettings
from services.scanner.tags.hearsay import Hearsay
from services.scanner.tags.inquiry import Inquiry
from services.scanner.tags.metrics import Found, SyncMetrics
from services.scanner.tags.purge import Purge
from services.scanner.tags.records import Cause, Removal
from services.scanner.tags.store import SyncStore
from tests.builders.retention import retention_of
from tests.builders.scanner import ScannerBench, good, scanned, scanner_bench
from tests.builders.stream import Said, StreamBench, a_risk
from tests.registries import RunningRegistry, lab_registry

PATIENCE = SourceSettings(
    retry=RetryPolicy(attempts=1), timeouts=Timeouts(connect_seconds=30, idle_seconds=30, request_seconds=30)
)
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


@dataclasses.dataclass
class Instances:
    """Rules, as far as it is asked: one instance, or none."""

    access: RegistryAccess
    sync: bool = True
    known: bool = True
    away: bool = False

    async def get_instance(self, instance: str) -> Instances:
        if self.away:
            raise ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "Rules does not answer.")
        if not self.known:
            raise not_found("INSTANCE_NOT_EXIST", "There is none.")
        return self

    async def registry_access(self, instance: str) -> RegistryAccess:
        return self.access


class Scene:
    """A scanner beside a registry that it hears of."""

    def __init__(self, scanner: ScannerBench, registry: RunningRegistry) -> None:
        self.scanner = scanner
        self.registry = registry
        self.instances = Instances(registry.access)
        self.store = SyncStore()
        self.counted = CollectorRegistry()
        self.settings = scanner.settings.model_copy(
            update={"removal_grace_seconds": 3600.0, "tag_question_seconds": 30.0}
        )
        metrics = SyncMetrics(self.counted)
        self.hearsay = Hearsay(pool=scanner.pool, store=self.store, clock=SystemClock(), settings=self.settings)
        self.inquiry = Inquiry(
            pool=scanner.pool,
            store=self.store,
            outbox=scanner.outbox,
            rules=self.instances,  # type: ignore[arg-type]  # the part it uses
            open_source=partial(open_repository, PATIENCE),
            clock=SystemClock(),
            ids=RandomIds(),
            metrics=metrics,
            settings=self.settings,
        )
        self.purging = Purge(
            pool=scanner.pool,
            store=self.store,
            rules=self.instances,  # type: ignore[arg-type]  # the part it uses
            clock=SystemClock(),
            metrics=metrics,
        )

    # what happens in the registry

    async def push(self, tag: str, content: str = "", *, repository: str = "team/app") -> Digest:
        """Pushes an image, and sees the push."""
        digest = await push_image(self.registry.access, repository, tag, an_image(content or tag))
        await self.told(ImageEvent.ACTION_PUSH, tag=tag, digest=digest, repository=repository)
        return digest

    async def delete(self, reference: str, *, repository: str = "team/app") -> None:
        """Deletes a tag or a manifest in the registry, which tells nobody."""
        url = f"http://{self.registry.access.address}/v2/{repository}/manifests/{reference}"
        async with aiohttp.ClientSession() as session, session.delete(url) as answer:
            assert answer.status == 202

    # what we are told

    async def told(
        self, action: ImageEvent.Action.ValueType, *, repository: str = "team/app", tag: str = "", digest: str = ""
    ) -> None:
        await self.hear(an_event(action, repository=repository, tag=tag, digest=digest))

    async def hear(self, *records: Record) -> None:
        await self.scanner.intake.see_pushes(records)
        await self.hearsay.take(records)

    async def listed(
        self, tags: Mapping[str, str], *, walk: int = 1, last: bool = True, began_at: datetime | None = None
    ) -> None:
        event = an_event(ImageEvent.ACTION_LIST, at=began_at or datetime.now(UTC))
        message = ImageEvent.FromString(event.message.value)
        message.walk, message.last = walk, last
        message.tags.extend(ListedTag(tag=tag, digest=digest) for tag, digest in tags.items())
        await self.hear(a_record(message))

    # what comes of it

    async def settle(self) -> int:
        """Asks all that is due; returns how many questions that were."""
        count = 0
        while questions := await self.inquiry.claim(10):
            for question in questions:
                await self.inquiry.settle(question)
            count += len(questions)
        return count

    async def later(self) -> None:
        """Lets all pauses pass."""
        await self.scanner.pool.execute("UPDATE scanner.question SET ask_at = now()")

    async def after_grace(self) -> int:
        """Lets the grace period pass, and purges; returns how many removals ended."""
        await self.scanner.pool.execute("UPDATE scanner.removal SET work_at = now() WHERE ended_at IS NULL")
        return await self.purging.purge(asyncio.Event())

    async def scanned(self, digest: Digest, tag: str = "1.0", *, repository: str = "team/app") -> TaskRecord:
        """A task on an image, whose scan is done."""
        task = await self.scanner.ask(an_address(digest, tag, repository))
        if not task.outcome.state.ended:
            [task] = await self.scanner.work_until(good, task.task_id)
        assert task.outcome.state is State.COMPLETE
        return task

    async def tags(self) -> dict[str, str]:
        rows = await self.scanner.pool.fetch("SELECT namespace, repository, tag, digest FROM scanner.tag")
        return {f"{row['namespace']}/{row['repository']}:{row['tag']}": row["digest"] for row in rows}

    async def count(self, table: str) -> int:
        return int(await self.scanner.pool.fetchval(f"SELECT count(*) FROM scanner.{table}"))  # noqa: S608 - of ours

    async def removals(self) -> list[Removal]:
        async with self.scanner.pool.acquire() as db:
            return list(await self.store.removals(db, "cri-1", after=None, limit=100))

    async def found(self) -> list[ImageEvent]:
        """What was found in the registry and told on, as if it had been pushed."""
        rows = await self.scanner.pool.fetch(
            "SELECT value FROM scanner.outbox WHERE topic = $1 ORDER BY id", IMAGE_EVENTS
        )
        return [ImageEvent.FromString(row["value"]) for row in rows]

    def asked(self, found: Found) -> float:
        return self.counted.get_sample_value("drydock_scanner_sync_questions_total", {"found": found.value}) or 0.0


def an_image(content: str) -> Built:
    return build_image([LayerBuilder().file("content", content).build()])


def an_address(digest: Digest, tag: str = "1.0", repository: str = "team/app") -> ImageAddress:
    namespace, _, name = repository.rpartition("/")
    return ImageAddress(
        instance_id="cri-1",
        repo_id=repository_id("cri-1", RepositoryName(namespace=namespace, name=name)),
        namespace=namespace,
        repository=name,
        tag=tag,
        digest=digest,
    )


_revisions = iter(range(1, 1_000_000))


def an_event(
    action: ImageEvent.Action.ValueType,
    *,
    repository: str = "team/app",
    tag: str = "",
    digest: str = "",
    at: datetime | None = None,
) -> Record:
    namespace, _, name = repository.rpartition("/")
    event = ImageEvent(
        event_id=str(uuid.uuid4()),
        instance_id="cri-1",
        action=action,
        namespace=namespace,
        repository=name,
        tag=tag,
        digest=digest,
        revision=next(_revisions),
    )
    event.occurred_at.FromDatetime(at or datetime.now(UTC))
    return a_record(event)


def a_record(event: ImageEvent) -> Record:
    message = Message(topic=IMAGE_EVENTS, key=b"k", value=event.SerializeToString())
    return Record(message=message, partition=0, position="0")


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    async with contextlib.AsyncExitStack() as stack:
        registry = await stack.enter_async_context(lab_registry())
        yield Scene(await stack.enter_async_context(scanner_bench(database)), registry)


DELETE = ImageEvent.ACTION_DELETE


async def test_a_deleted_tag_goes_at_once_and_its_results_after_the_grace_period(scene: Scene) -> None:
    digest = await scene.push("1.0")
    task = await scene.scanned(digest)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    assert await scene.settle() == 1
    assert await scene.tags() == {}
    [removal] = await scene.removals()
    assert (removal.cause, removal.subject.tag, removal.subject.digest) == (Cause.TAG_DELETED, "1.0", digest)
    assert removal.due_at == removal.noted_at + timedelta(hours=1)
    assert (await scene.scanner.task(task.task_id)).outcome.state is State.COMPLETE
    assert await scene.purging.purge(asyncio.Event()) == 0  # the grace period is not over

    assert await scene.after_grace() == 1
    assert [await scene.count(table) for table in ("task", "scan", "report")] == [0, 0, 0]
    [removal] = await scene.removals()
    assert removal.ended_at is not None
    assert (removal.tasks, removal.reports) == (1, 1)


async def test_the_stream_is_told_that_an_image_is_gone_when_its_last_results_go(
    scene: Scene, tmp_path: Path
) -> None:
    stream = StreamBench(scene.scanner, tmp_path)
    digest = await scene.push("1.0", "same")
    await scene.push("stable", "same")
    for tag in ("1.0", "stable"):
        await stream.scan(an_address(digest, tag), Said(findings=[a_risk()]))
    [created] = await stream.tell()
    for tag in ("1.0", "stable"):
        assert await stream.tell() == []  # another tag has it, or the grace period is not over
        await scene.delete(tag)
        await scene.told(DELETE, tag=tag)
        await scene.settle()
        await scene.after_grace()
    [closed] = await stream.tell()
    assert (closed.activity, closed.event["status_code"]) == ("Close", "IMAGE_DELETED")
    assert closed.event["finding_info"]["uid"] == created.event["finding_info"]["uid"]
    assert await scene.count("stream_image") == await scene.count("stream_scan") == 0


async def test_results_stay_while_another_living_tag_has_the_digest(scene: Scene) -> None:
    digest = await scene.push("1.0", "same")
    await scene.scanned(digest, "1.0")
    await scene.push("stable", "same")
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    assert list(await scene.tags()) == ["team/app:stable"]
    assert await scene.after_grace() == 1
    assert [await scene.count(table) for table in ("task", "scan", "report")] == [1, 1, 1]


async def test_results_go_with_the_last_tag_of_their_digest_whichever_tag_they_came_under(scene: Scene) -> None:
    digest = await scene.push("1.0", "same")
    await scene.push("stable", "same")
    moved = await scene.push("moves", "same")
    for tag in ("1.0", "stable", "moves", ""):  # the last one by digest alone
        await scene.scanned(moved, tag)
    await scene.push("moves", "other")
    for tag in ("1.0", "stable"):
        await scene.delete(tag)
        await scene.told(DELETE, tag=tag)
        await scene.settle()
        await scene.after_grace()
    rows = await scene.scanner.pool.fetch("SELECT tag FROM scanner.task WHERE digest = $1", digest)
    # What a tag that lives has as its last good result stays, and what nobody's tag was for.
    assert sorted(row["tag"] for row in rows) == ["", "moves"]


async def test_a_deleted_digest_takes_all_tags_on_it(scene: Scene) -> None:
    digest = await scene.push("1.0", "same")
    await scene.push("stable", "same")
    other = await scene.push("2.0")
    for tag, its in (("1.0", digest), ("stable", digest), ("2.0", other)):
        await scene.scanned(its, tag)
    await scene.delete(digest)
    await scene.told(DELETE, digest=digest)
    await scene.settle()
    assert await scene.tags() == {"team/app:2.0": other}
    assert sorted(removal.cause.value for removal in await scene.removals()) == [
        "DIGEST_DELETED",
        "TAG_DELETED",
        "TAG_DELETED",
    ]
    assert await scene.after_grace() == 3
    assert await scene.count("task") == await scene.count("report") == 1


async def test_a_deleted_digest_that_another_repository_has_keeps_its_report(scene: Scene) -> None:
    digest = await scene.push("1.0", "same")
    await scene.push("1.0", "same", repository="team/copy")
    await scene.scanned(digest, "1.0")
    await scene.scanned(digest, "1.0", repository="team/copy")
    assert await scene.count("scan") == 1
    await scene.delete(digest)
    await scene.told(DELETE, digest=digest)
    await scene.settle()
    await scene.after_grace()
    assert await scene.tags() == {"team/copy:1.0": digest}
    assert await scene.count("task") == await scene.count("report") == 1


async def test_a_deleted_repository_takes_everything(scene: Scene) -> None:
    digests = [await scene.push(tag) for tag in ("1", "2", "3")]
    for tag, digest in zip(("1", "2", ""), digests, strict=True):
        await scene.scanned(digest, tag)
    kept = await scene.push("1", repository="team/other")
    assert scene.registry.lab is not None
    body = b'{"errors":[{"code":"NAME_UNKNOWN"}]}'
    scene.registry.lab.faults.add("/v2/team/app/*", Status(code=404, body=body))
    await scene.told(DELETE)
    await scene.settle()
    assert await scene.tags() == {"team/other:1": kept}
    [removal] = await scene.removals()
    assert removal.cause is Cause.REPOSITORY_DELETED
    await scene.after_grace()
    assert [await scene.count(table) for table in ("task", "scan", "report")] == [0, 0, 0]


async def test_a_deleted_instance_takes_everything_whether_it_was_synced_or_not(scene: Scene) -> None:
    await scene.scanned(await scene.push("1"), "1")
    await scene.push("2", repository="team/other")
    scene.instances.known = scene.instances.sync = False
    event = ImageEvent(event_id=str(uuid.uuid4()), instance_id="cri-1", action=DELETE)
    await scene.hear(a_record(event))
    await scene.settle()
    await scene.hear(a_record(event))
    await scene.settle()
    assert await scene.tags() == {}
    assert [removal.cause for removal in await scene.removals()] == [Cause.INSTANCE_DELETED] * 2
    await scene.after_grace()
    assert [await scene.count(table) for table in ("task", "scan", "report")] == [0, 0, 0]


async def test_an_instance_that_is_there_is_not_deleted_by_an_event(scene: Scene) -> None:
    await scene.push("1")
    await scene.hear(a_record(ImageEvent(event_id=str(uuid.uuid4()), instance_id="cri-1", action=DELETE)))
    await scene.settle()
    assert len(await scene.tags()) == 1
    assert await scene.removals() == []


async def test_with_sync_off_deletions_and_lists_change_nothing(scene: Scene) -> None:
    await scene.push("1.0")
    before = await scene.tags()
    scene.instances.sync = False
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.listed({"new": "sha256:" + "a" * 64})
    await scene.settle()
    assert (await scene.tags(), await scene.removals(), await scene.found()) == (before, [], [])
    assert await scene.count("question") == 0


async def test_a_deletion_that_is_older_than_a_push_deletes_nothing(scene: Scene) -> None:
    await scene.push("1.0", "old")
    await scene.delete("1.0")
    deletion = an_event(DELETE, tag="1.0")
    new = await scene.push("1.0", "new")
    await scene.hear(deletion)
    await scene.settle()
    assert await scene.tags() == {"team/app:1.0": new}
    assert await scene.removals() == []


async def test_a_push_that_comes_in_while_the_registry_is_asked_is_not_overruled(scene: Scene) -> None:
    await scene.push("1.0", "old")
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    [question] = await scene.inquiry.claim(10)
    built = an_image("new")
    await scene.told(ImageEvent.ACTION_PUSH, tag="1.0", digest=built.digest)  # told of before it is there
    await scene.inquiry.settle(question)
    assert await scene.tags() == {"team/app:1.0": built.digest}
    assert scene.asked(Found.OUTDATED) == 1
    await push_image(scene.registry.access, "team/app", "1.0", built)
    assert await scene.settle() == 1
    assert await scene.tags() == {"team/app:1.0": built.digest}


async def test_a_deletion_told_of_while_another_is_asked_about_is_asked_about_too(scene: Scene) -> None:
    await scene.push("1.0")
    await scene.told(DELETE, tag="1.0")
    [question] = await scene.inquiry.claim(10)
    await scene.told(DELETE, tag="1.0")
    await scene.inquiry.settle(question)
    await scene.delete("1.0")
    assert await scene.settle() == 1
    assert await scene.tags() == {}


async def test_what_was_deleted_and_is_pushed_again_in_the_grace_period_stays(scene: Scene) -> None:
    digest = await scene.push("1.0")
    await scene.scanned(digest)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    await scene.push("1.0")
    await scene.after_grace()
    assert await scene.count("report") == 1
    [removal] = await scene.removals()
    assert (removal.ended_at is not None, removal.tasks) == (True, 0)


async def test_a_sync_that_is_switched_off_keeps_what_was_not_purged_yet(scene: Scene) -> None:
    await scene.scanned(await scene.push("1.0"))
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    scene.instances.sync = False
    assert await scene.after_grace() == 0
    assert await scene.count("report") == 1
    scene.instances.sync = True
    assert await scene.after_grace() == 1


async def test_open_tasks_of_what_is_gone_are_waited_for(scene: Scene) -> None:
    digest = await scene.push("1.0")
    task = await scene.scanner.ask(an_address(digest))
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    assert await scene.after_grace() == 0
    await scene.scanner.work_until(good, task.task_id)
    assert await scene.after_grace() == 1
    assert await scene.count("task") == 0


async def test_tasks_of_what_is_gone_stay_until_their_run_has_been_summed_up(scene: Scene) -> None:
    digest = await scene.push("1.0")
    run_id = str(uuid.uuid4())
    task = await scene.scanner.ask(an_address(digest), run_id=run_id)
    await scene.scanner.work_until(good, task.task_id)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    assert await scene.after_grace() == 0
    assert await scene.count("task") == 1  # the run counts it
    await scene.scanner.pool.execute("UPDATE scanner.run SET summary = '{}' WHERE run_id = $1", run_id)
    assert await scene.after_grace() == 1
    assert [await scene.count(table) for table in ("task", "scan", "report")] == [0, 0, 0]


async def test_a_removal_is_forgotten_long_after_its_end(scene: Scene) -> None:
    digest = await scene.push("1.0")
    await scene.scanned(digest)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    aged = retention_of("scanner", agings(ScannerSettings(removal_days=365)), scene.scanner.pool, SystemClock())
    await scene.scanner.pool.execute("UPDATE scanner.removal SET noted_at = noted_at - interval '400 days'")
    await aged.clean(asyncio.Event())
    assert await scene.count("removal") == 1  # its results are there
    await scene.scanner.pool.execute("UPDATE scanner.removal SET noted_at = now(), due_at = now()")
    assert await scene.after_grace() == 1
    for days, left in ((364, 1), (366, 0)):
        ended = datetime.now(UTC) - timedelta(days=days)
        await scene.scanner.pool.execute("UPDATE scanner.removal SET ended_at = $1", ended)
        await aged.clean(asyncio.Event())
        assert await scene.count("removal") == left


async def test_an_index_goes_with_its_platforms_but_for_those_that_others_have(scene: Scene) -> None:
    shared, own = (an_image(content).digest for content in ("shared", "own"))
    indexes = {tag: await scene.push(tag) for tag in ("gone", "kept")}
    children = {indexes["gone"]: (shared, own), indexes["kept"]: (shared,)}

    async def script(scan: ScanRecord) -> ScannedImage | ImageIndex:
        parts = children.get(scan.key.digest)
        if parts is None:
            return scanned(scan, scan.platform)
        return ImageIndex(
            digest=scan.key.digest,
            children=tuple(
                IndexChild(
                    descriptor=Descriptor(media_type="m", digest=part, size=1),
                    platform=Platform(os="linux", architecture=f"a{number}"),
                )
                for number, part in enumerate(parts)
            ),
        )

    tasks = [await scene.scanner.ask(an_address(digest, tag)) for tag, digest in indexes.items()]
    await scene.scanner.work_until(script, *(task.task_id for task in tasks))
    assert [await scene.count(table) for table in ("scan", "report", "scan_part")] == [4, 2, 3]
    await scene.delete("gone")
    await scene.told(DELETE, tag="gone")
    await scene.settle()
    assert await scene.after_grace() == 1
    assert [await scene.count(table) for table in ("scan", "report", "scan_part")] == [2, 1, 1]
    digests = await scene.scanner.pool.fetch("SELECT digest FROM scanner.scan")
    assert {row["digest"] for row in digests} == {indexes["kept"], shared}
    assert [removal.reports for removal in await scene.removals()] == [1]


async def test_a_task_that_joins_a_scan_while_it_goes_has_a_new_one(scene: Scene) -> None:
    digest = await scene.push("1.0")
    await scene.scanned(digest)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    async with scene.scanner.pool.acquire() as db, db.transaction():
        [row] = await db.fetch("SELECT scan_id FROM scanner.scan FOR UPDATE")
        joining = asyncio.create_task(scene.scanner.ask(an_address(digest, "other")))
        while not await scene.scanner.pool.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
            await asyncio.sleep(0.01)
        await db.execute("DELETE FROM scanner.report")
        await db.execute("DELETE FROM scanner.scan")
    task = await joining
    assert (task.scan_id, task.outcome.state) == (str(row["scan_id"]), State.PENDING)
    [task] = await scene.scanner.work_until(good, task.task_id)
    assert task.outcome.state is State.COMPLETE
    assert await scene.count("report") == 1


@pytest.mark.parametrize(
    "fault",
    [
        Status(code=500),
        Status(code=401),
        Status(code=403),
        Status(code=404),
        Status(code=404, body=b"<html>no such page</html>"),
        Status(code=404, body=b'{"errors":[{"code":"UNAUTHORIZED"}]}'),
        Status(code=200, body=b"{}"),
        Disconnect(),
    ],
)
@pytest.mark.parametrize("subject", ["tag", "digest", "repository"])
async def test_nothing_but_the_registrys_own_word_deletes_anything(
    scene: Scene, fault: Fault, subject: str
) -> None:
    digest = await scene.push("1.0")
    await scene.scanned(digest)
    assert scene.registry.lab is not None
    scene.registry.lab.faults.add("*", fault)
    await scene.told(DELETE, tag="1.0" if subject == "tag" else "", digest=digest if subject == "digest" else "")
    assert await scene.settle() >= 1
    assert "team/app:1.0" in await scene.tags()
    assert await scene.removals() == []
    assert await scene.after_grace() == 0
    assert await scene.count("report") == 1


async def test_a_registry_that_is_away_is_asked_again(scene: Scene) -> None:
    await scene.push("1.0")
    await scene.delete("1.0")
    assert scene.registry.lab is not None
    scene.registry.lab.faults.add("*", Status(code=503))
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    assert scene.asked(Found.POSTPONED) == 1
    scene.registry.lab.faults.clear()
    await scene.later()
    assert await scene.settle() == 1
    assert await scene.tags() == {}


@pytest.mark.parametrize(("subject", "left"), [("tag", 0), ("instance", 1)])
async def test_a_question_that_nobody_answers_for_a_day_waits_for_the_next_walk(
    scene: Scene, subject: str, left: int
) -> None:
    """But for one about an instance, of which no walk tells."""
    await scene.push("1.0")
    if subject == "tag":
        await scene.told(DELETE, tag="1.0")
    else:
        await scene.hear(a_record(ImageEvent(event_id=str(uuid.uuid4()), instance_id="cri-1", action=DELETE)))
    scene.instances.away = True
    await scene.settle()
    assert await scene.count("question") == 1
    await scene.scanner.pool.execute("UPDATE scanner.question SET noted_at = now() - interval '25 hours'")
    await scene.later()
    await scene.settle()
    assert await scene.count("question") == left
    assert len(await scene.tags()) == 1


async def test_another_reason_to_ask_begins_the_day_anew(scene: Scene) -> None:
    await scene.push("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.scanner.pool.execute("UPDATE scanner.question SET noted_at = now() - interval '25 hours'")
    await scene.told(DELETE, tag="1.0")
    scene.instances.away = True
    await scene.settle()
    assert await scene.count("question") == 1


async def test_deletions_of_what_we_know_nothing_of_are_not_asked_about(scene: Scene) -> None:
    await scene.push("1.0")
    await scene.told(DELETE, tag="other")
    await scene.told(DELETE, digest="sha256:" + "b" * 64)  # a layer, for all we know
    assert await scene.count("question") == 0


# lists


async def test_a_tag_that_nobody_told_of_is_told_on_as_a_push(scene: Scene) -> None:
    built = an_image("unheard of")
    await push_image(scene.registry.access, "team/app", "1.0", built)
    await scene.listed({"1.0": built.digest})
    await scene.settle()
    assert await scene.tags() == {"team/app:1.0": built.digest}
    [event] = await scene.found()
    assert (event.action, event.namespace, event.repository) == (ImageEvent.ACTION_PUSH, "team", "app")
    assert (event.tag, event.digest, event.instance_id) == ("1.0", built.digest, "cri-1")
    await scene.hear(a_record(event))  # we hear it ourselves
    await scene.listed({"1.0": built.digest}, walk=2)
    assert await scene.settle() == 0
    assert len(await scene.found()) == 1


async def test_a_tag_that_was_moved_unheard_is_told_on_as_a_push(scene: Scene) -> None:
    await scene.push("1.0", "old")
    built = an_image("new")
    await push_image(scene.registry.access, "team/app", "1.0", built)
    await scene.listed({"1.0": built.digest})
    await scene.settle()
    assert await scene.tags() == {"team/app:1.0": built.digest}
    assert [event.digest for event in await scene.found()] == [built.digest]
    assert scene.asked(Found.MOVED) == 1


async def test_a_list_that_is_older_than_a_push_moves_nothing(scene: Scene) -> None:
    old = await scene.push("1.0", "old")
    new = await scene.push("1.0", "new")
    await scene.listed({"1.0": old})
    await scene.settle()
    assert await scene.tags() == {"team/app:1.0": new}
    assert await scene.found() == []


async def test_what_the_whole_list_lacks_is_asked_about(scene: Scene) -> None:
    digests = {tag: await scene.push(tag) for tag in ("1", "2", "3")}
    await scene.delete("2")
    began_at = datetime.now(UTC)
    await scene.listed({"1": digests["1"]}, last=False, began_at=began_at)
    assert await scene.count("question") == 0
    await scene.listed({"3": digests["3"]}, last=True, began_at=began_at)
    assert await scene.settle() == 1
    assert list(await scene.tags()) == ["team/app:1", "team/app:3"]


async def test_half_a_list_that_is_called_the_whole_deletes_nothing(scene: Scene) -> None:
    digests = {tag: await scene.push(tag) for tag in ("1", "2", "3")}
    await scene.listed({"1": digests["1"]})
    assert await scene.settle() == 2
    await scene.listed({}, walk=2)
    assert await scene.settle() == 3
    assert len(await scene.tags()) == 3
    assert scene.asked(Found.AS_KNOWN) == 5


async def test_a_tag_that_was_pushed_while_its_repository_was_listed_is_not_asked_about(scene: Scene) -> None:
    began_at = datetime.now(UTC) - timedelta(minutes=1)
    await scene.push("1.0")
    await scene.listed({}, began_at=began_at)
    assert await scene.count("question") == 0


async def test_a_list_that_comes_again_late_asks_for_nothing(scene: Scene) -> None:
    digest = await scene.push("1.0")
    for walk in (2, 1, 2):
        await scene.listed({"1.0": digest}, walk=walk)
    assert await scene.count("question") == 0


# pulls


async def pulled(scene: Scene) -> dict[str, datetime]:
    rows = await scene.scanner.pool.fetch("SELECT reference, pulled_at FROM scanner.pull")
    return {row["reference"]: row["pulled_at"] for row in rows}


async def test_pulls_are_kept_by_tag_and_by_digest_and_written_at_most_once_a_minute(scene: Scene) -> None:
    digest = await scene.push("1.0")

    async def pull(seconds: int, tag: str = "1.0") -> None:
        at = EPOCH + timedelta(seconds=seconds)
        await scene.hear(an_event(ImageEvent.ACTION_PULL, tag=tag, digest=digest, at=at))

    await pull(0)
    assert await pulled(scene) == {"1.0": EPOCH, digest: EPOCH}
    await pull(59)
    assert await pulled(scene) == {"1.0": EPOCH, digest: EPOCH}
    await pull(60, tag="")
    assert await pulled(scene) == {"1.0": EPOCH, digest: EPOCH + timedelta(seconds=60)}
    await pull(-100)
    assert (await pulled(scene))["1.0"] == EPOCH
    async with scene.scanner.pool.acquire() as db:
        [seen] = await scene.store.tags(db, an_address(digest).repo_id, after="", limit=10)
    assert (seen.tag, seen.digest, seen.pulled_at) == ("1.0", digest, EPOCH + timedelta(seconds=60))


async def test_pulls_of_what_we_do_not_know_are_not_kept_and_those_of_what_is_gone_go(scene: Scene) -> None:
    digest = await scene.push("1.0")
    await scene.told(ImageEvent.ACTION_PULL, tag="other", digest="sha256:" + "c" * 64)
    assert await pulled(scene) == {}
    await scene.told(ImageEvent.ACTION_PULL, tag="1.0", digest=digest)
    await scene.delete("1.0")
    await scene.told(DELETE, tag="1.0")
    await scene.settle()
    assert "1.0" not in await pulled(scene)


async def test_a_clock_that_runs_ahead_pulls_nothing_in_the_future(scene: Scene) -> None:
    digest = await scene.push("1.0")
    ahead = datetime.now(UTC) + timedelta(days=9)
    await scene.hear(an_event(ImageEvent.ACTION_PULL, tag="1.0", digest=digest, at=ahead))
    assert max((await pulled(scene)).values()) <= datetime.now(UTC)


async def test_a_listing_with_a_digest_that_is_none_is_refused(scene: Scene) -> None:
    with pytest.raises(ServiceError) as refused:
        await scene.listed({"1.0": "md5:1"})
    assert refused.value.reason == "BAD_EVENT"
