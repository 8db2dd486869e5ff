"""What answers for an image that a caller names by tag, by digest or by both."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.kernel.model.report import Coverage
from services.kernel.reasons import Reason, ScanFailure
from services.rules.api import NewInstance
from services.scanner.api import ImageQuery, State
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord, TaskRecord
from services.scanner.tags.reads import open_tag_reads
from services.scanner.tasks.lookup import Lookup
from tests.builders.edge import real_rules
from tests.builders.scanner import ScannerBench, Script, good, image, scanned
from tests.databases import migrated_pool


async def broken(_: ScanRecord) -> ScannedImage:
    raise ScanFailure(Reason.LAYER_TOO_LARGE, "It is too large.")


async def blind(scan: ScanRecord) -> ScannedImage:
    seen = scanned(scan)
    return dataclasses.replace(seen, outcome=dataclasses.replace(seen.outcome, coverage=Coverage.NONE))


class Desk:
    """A scanner's lookup over one repository, `team/app`, that a test fills with tasks."""

    def __init__(self, bench: ScannerBench, lookup: Lookup, instance_id: str, repo_id: str) -> None:
        self.bench = bench
        self.lookup = lookup
        self._instance_id = instance_id
        self._repo_id = repo_id
        self._revision = 0

    async def scan(
        self,
        content: bytes,
        tag: str,
        *,
        complete: bool = True,
        engine: Engine = Engine.SECURITY_CENTER,
        script: Script = good,
    ) -> TaskRecord:
        """Pushes, scans, and returns the task."""
        self._revision += 1
        named = image(content, tag=tag, repo_id=self._repo_id)
        address = ImageAddress(
            instance_id=self._instance_id,
            repo_id=named.repo_id,
            namespace=named.namespace,
            repository=named.repository,
            tag=tag,
            digest=named.digest,
        )
        async with self.bench.pool.acquire() as db:
            await self.bench.store.see_tags(db, [(address, self._revision, SystemClock().now())])
        task = await self.bench.ask(address, revision=self._revision, engine=engine)
        return (await self.bench.work_until(script, task.task_id))[0] if complete else task

    async def before(self, task: TaskRecord) -> str:
        async with self.bench.pool.acquire() as db:
            found = await self.bench.store.earlier_task(db, task)
        return found.task_id if found else ""

    def query(self, tag: str = "", content: bytes | None = None, engine: Engine | None = None) -> ImageQuery:
        return ImageQuery(
            instance=self._instance_id,
            namespace="team",
            repository="app",
            tag=tag,
            digest=digest_of(content) if content else None,
            engine=engine,
        )

    async def newest(self, tag: str = "", content: bytes | None = None, engine: Engine | None = None) -> str:
        return (await self.lookup.newest(self.query(tag, content, engine))).task_id

    async def complete(self, tag: str = "", content: bytes | None = None, engine: Engine | None = None) -> str:
        return (await self.lookup.last_complete(self.query(tag, content, engine)))[0].task_id


@pytest.fixture
async def desk(database: str) -> AsyncIterator[Desk]:
    async with migrated_pool(database, ("rules", "services.rules"), ("scanner", "services.scanner")) as pool:
        rules, bench = real_rules(pool, SystemClock()), ScannerBench(pool, database)
        instance = await rules.create_instance(NewInstance(name="lab", address="127.0.0.1:1", default_rule=False))
        repository = await rules.see_repository(instance.instance_id, "team", "app")
        async with open_tag_reads(database, bench.store) as tags:
            lookup = Lookup(pool, bench.store, tags, rules)
            yield Desk(bench, lookup, instance.instance_id, repository.repo_id)


async def test_a_tag_and_a_digest_that_it_never_had_are_not_scanned(desk: Desk) -> None:
    await desk.scan(b"one", "1.0")
    await desk.scan(b"two", "2.0")
    for call in (desk.newest, desk.complete):
        with pytest.raises(ServiceError) as caught:
            await call("1.0", b"two")
        assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "IMAGE_NOT_SCANNED")
        assert caught.value.message == f"team/app:1.0 was never scanned with the digest {digest_of(b'two')}."


async def test_a_tag_and_a_digest_answer_for_what_the_tag_has_or_had(desk: Desk) -> None:
    former = await desk.scan(b"former", "1.0")
    present = await desk.scan(b"present", "1.0")
    await desk.scan(b"former", "2.0")
    for call in (desk.newest, desk.complete):
        assert await call("1.0", b"former") == former.task_id
        assert await call("1.0", b"present") == present.task_id
        assert await call("1.0") == present.task_id


async def test_a_digest_alone_answers_from_its_newest_task_under_any_tag(desk: Desk) -> None:
    await desk.scan(b"one", "1.0")
    newest = await desk.scan(b"one", "2.0")
    assert await desk.newest(content=b"one") == newest.task_id
    assert await desk.complete(content=b"one") == newest.task_id


async def test_another_tags_result_on_the_digest_does_not_answer_for_a_tag(desk: Desk) -> None:
    done = await desk.scan(b"one", "1.0")
    desk.bench.versions.advisories = "a2"
    begun = await desk.scan(b"one", "2.0", complete=False)
    for tag, content in (("2.0", None), ("2.0", b"one")):
        assert await desk.newest(tag, content) == begun.task_id
        with pytest.raises(ServiceError) as caught:
            await desk.complete(tag, content)
        assert caught.value.reason == "SCAN_NOT_COMPLETE"
    assert await desk.complete(content=b"one") == done.task_id


async def test_the_last_result_answers_for_a_tag_while_it_is_scanned_anew(desk: Desk) -> None:
    done = await desk.scan(b"one", "1.0")
    desk.bench.versions.advisories = "a2"
    begun = await desk.scan(b"one", "1.0", complete=False)
    assert begun.outcome.state is State.PENDING
    for content in (None, b"one"):
        assert await desk.newest("1.0", content) == begun.task_id
        assert await desk.complete("1.0", content) == done.task_id


async def test_after_a_switch_both_engines_results_stay_readable(desk: Desk) -> None:
    ours = await desk.scan(b"one", "1.0", engine=Engine.SECURITY_CENTER)
    theirs = await desk.scan(b"one", "1.0", engine=Engine.TRIVY)
    for content in (None, b"one"):
        assert await desk.complete("1.0", content) == theirs.task_id
        for task, engine in ((ours, Engine.SECURITY_CENTER), (theirs, Engine.TRIVY)):
            assert await desk.newest("1.0", content, engine) == task.task_id
            assert await desk.complete("1.0", content, engine) == task.task_id
    assert await desk.complete(content=b"one", engine=Engine.SECURITY_CENTER) == ours.task_id


async def test_the_last_result_of_an_engine_answers_for_it_while_it_scans_anew(desk: Desk) -> None:
    done = await desk.scan(b"one", "1.0", engine=Engine.TRIVY)
    await desk.scan(b"one", "1.0", engine=Engine.SECURITY_CENTER)
    desk.bench.versions.advisories = "a2"
    begun = await desk.scan(b"one", "1.0", engine=Engine.TRIVY, complete=False)
    assert await desk.newest("1.0", engine=Engine.TRIVY) == begun.task_id
    assert await desk.complete("1.0", engine=Engine.TRIVY) == done.task_id


async def test_an_engine_that_never_scanned_the_image_has_no_answer(desk: Desk) -> None:
    done = await desk.scan(b"one", "1.0", engine=Engine.SECURITY_CENTER)
    for tag, content in (("1.0", None), ("1.0", b"one"), ("", b"one")):
        with pytest.raises(ServiceError) as caught:
            await desk.complete(tag, content, Engine.TRIVY)
        assert caught.value.reason == "IMAGE_NOT_SCANNED"
        assert "by TRIVY" in caught.value.message
    query = dataclasses.replace(desk.query(engine=Engine.TRIVY), task_id=done.task_id)
    with pytest.raises(ServiceError) as caught:
        await desk.lookup.newest(query)
    assert (caught.value.reason, caught.value.field) == ("TASK_DOES_NOT_MATCH", "engine")


async def test_a_scan_is_compared_with_the_one_before_it_of_its_tag_by_its_engine(desk: Desk) -> None:
    first = await desk.scan(b"one", "1.0")
    await desk.scan(b"elsewhere", "2.0")
    await desk.scan(b"by another", "1.0", engine=Engine.TRIVY)
    last = await desk.scan(b"two", "1.0")
    await desk.scan(b"later", "1.0")
    assert await desk.before(last) == first.task_id
    assert await desk.before(first) == ""


async def test_a_new_tag_is_compared_with_the_scan_of_its_digest(desk: Desk) -> None:
    first = await desk.scan(b"one", "1.0")
    assert await desk.before(await desk.scan(b"one", "latest")) == first.task_id


async def test_a_scan_is_compared_with_none_that_failed_or_judged_nothing(desk: Desk) -> None:
    first = await desk.scan(b"one", "1.0")
    await desk.scan(b"two", "1.0", script=broken)
    await desk.scan(b"three", "1.0", script=blind)
    assert await desk.before(await desk.scan(b"four", "1.0")) == first.task_id
