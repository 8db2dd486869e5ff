"""Runs in the scanner: progress, how they end, and how they are called off and tried again."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError, not_found
from services.kernel.model.digest import digest_of
from services.kernel.model.media import OCI_MANIFEST
from services.kernel.model.platform import parse_platform
from services.kernel.model.severity import Severity
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.wakeup import Wakeups
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.rules.api import RunNote
from services.rules.api import RunState as Asked
from services.scanner.api import Run, RunState, State
from services.scanner.lanes import LANE_BULK, LANE_PUSH, LANES
from services.scanner.records import ImageAddress, ScannedImage, ScanRecord, TaskRecord
from services.scanner.retention import agings
from services.scanner.settings import ScannerSettings
from services.scanner.tasks.control import Control
from services.scanner.tasks.keeper import RunKeeper
from services.scanner.tasks.runs import Runs
from tests.builders.retention import retention_of
from tests.builders.scanner import ScannerBench, a_control, good, image, scanner_bench
from tests.fakes.runs import RUN, FakeRuns

TAGS = ("1", "2", "3")


class Scene:
    """A scanner and rules that asked for a run of three images."""

    def __init__(self, bench: ScannerBench, rules: FakeRuns) -> None:
        self.bench = bench
        self.rules = rules
        self.runs = Runs(bench.pool, bench.runs, rules)
        self.control: Control = a_control(bench, self.runs, rules)
        self.keeper = RunKeeper(
            pool=bench.pool,
            store=bench.runs,
            runs=self.runs,
            control=self.control,
            rules=rules,
            wakeups=Wakeups(bench.url),
        )

    async def ask(self, *tags: str) -> list[TaskRecord]:
        """Hands in requests of the run, each tag with content of its own."""
        return [
            await self.bench.ask(an_image_of(tag), run_id=RUN, task_id=str(uuid.uuid5(uuid.UUID(RUN), tag)))
            for tag in tags
        ]

    async def run(self) -> Run:
        return await self.runs.get(RUN)

    async def keep(self) -> None:
        """Has the keeper do all there is to do."""
        while await self.keeper.sweep():
            pass
        await self.bench.pool.execute("UPDATE scanner.run SET look_at = now()")
        await self.keeper.look()

    async def work(self) -> int:
        """Scans that wait for a worker."""
        return int(await self.bench.pool.fetchval("SELECT count(*) FROM scanner.work"))


def an_image_of(tag: str) -> ImageAddress:
    return image(tag.encode(), tag)


async def bad(scan: ScanRecord) -> ScannedImage:
    """Fails on the image of tag 2."""
    if scan.key.digest == an_image_of("2").digest:
        raise ScanFailure(Reason.LAYER_TOO_LARGE, "A layer is too large.")
    return await good(scan)


@pytest.fixture
async def scene(database: str) -> AsyncIterator[Scene]:
    async with scanner_bench(database) as bench:
        yield Scene(bench, FakeRuns(len(TAGS)))


async def test_progress_counts_what_was_asked_for_and_has_not_come_in(scene: Scene) -> None:
    await scene.ask("1")
    await scene.ask("1")  # delivered twice
    run = await scene.run()
    assert (run.state, run.images, run.pending, run.enumerated) == (RunState.RUNNING, 3, 3, True)

    [task] = await scene.ask("1")
    await scene.bench.work_until(good, task.task_id)
    run = await scene.run()
    assert (run.state, run.pending, run.complete, run.ended_at) == (RunState.RUNNING, 2, 1, None)


async def test_images_of_a_run_wait_in_the_lane_of_bulk_and_a_push_stays_a_push(scene: Scene) -> None:
    await scene.ask("1", "2")
    await scene.bench.ask(an_image_of("2"))
    rows = await scene.bench.pool.fetch("SELECT lane FROM scanner.work ORDER BY lane")
    assert [row["lane"] for row in rows] == [LANE_PUSH, LANE_BULK]


async def test_a_run_is_complete_when_every_image_is(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    await scene.keep()
    run = await scene.run()
    assert (run.state, run.complete, run.failed, scene.rules.ended) == (RunState.COMPLETE, 3, 0, 1)
    assert run.findings == dict.fromkeys(Severity, 0)
    assert run.ended_at is not None


async def test_one_failed_image_does_not_fail_the_run_and_is_no_clean_one(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(bad, *(task.task_id for task in tasks))
    run = await scene.run()
    assert (run.state, run.complete, run.failed) == (RunState.COMPLETE_WITH_FAILURES, 2, 1)
    assert [(one.reason, one.count) for one in run.failures] == [("LAYER_TOO_LARGE", 1)]


@pytest.mark.parametrize(
    ("asked", "state", "reason"),
    [
        ({"unresolved": 1, "notes": (RunNote(repository="r", tag="t", reason="X", message="m"),)}, "FAILED", "X"),
        ({"state": Asked.FAILED, "reason": "REGISTRY_CATALOG_REFUSED"}, "FAILED", "REGISTRY_CATALOG_REFUSED"),
        ({"state": Asked.CANCELLED}, "CANCELLED", ""),
        ({"vanished": 5}, "COMPLETE", ""),
        ({"state": Asked.ASKING}, "RUNNING", ""),
    ],
)
async def test_a_run_without_images_says_why(
    scene: Scene, asked: dict[str, object], state: str, reason: str
) -> None:
    scene.rules.says(requested=0, **asked)  # type: ignore[arg-type] # what rules says
    run = await scene.run()
    assert (run.state.value, run.reason, run.images) == (state, reason, 0)


async def test_what_could_not_be_asked_for_is_a_failure_of_the_run(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    note = RunNote(repository="team/app", tag="9", reason="REGISTRY_FORBIDDEN", message="No.")
    scene.rules.says(notes=(note,), unresolved=1)
    run = await scene.run()
    assert (run.state, run.unresolved) == (RunState.COMPLETE_WITH_FAILURES, 1)
    assert [(one.reason, one.count) for one in run.failures] == [("REGISTRY_FORBIDDEN", 1)]


async def test_how_a_run_ended_outlives_its_tasks(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(bad, *(task.task_id for task in tasks))
    await scene.keep()
    before = await scene.run()
    await scene.bench.pool.execute("DELETE FROM scanner.task")
    await scene.keep()
    assert await scene.run() == before

    scene.rules.run = None
    await scene.keep()  # rules has forgotten it: so do we
    with pytest.raises(ServiceError):
        await scene.run()


async def test_a_run_that_nobody_knows_is_no_task(scene: Scene) -> None:
    with pytest.raises(ServiceError) as caught:
        await scene.runs.get(str(uuid.uuid4()))
    assert caught.value.reason == "SCAN_TASK_NOT_EXIST"


async def test_a_cancelled_run_ends_its_tasks_and_the_work_that_nobody_else_wants(scene: Scene) -> None:
    await scene.ask(*TAGS)
    push = await scene.bench.ask(an_image_of("2"))
    await scene.control.cancel_run(RUN)
    await scene.keep()

    run = await scene.run()
    assert (run.state, run.failed, run.pending) == (RunState.CANCELLED, 3, 0)
    assert [one.reason for one in run.failures] == ["CANCELLED"]
    assert await scene.work() == 1
    [ended] = await scene.bench.work_until(good, push.task_id)
    assert ended.outcome.state is State.COMPLETE
    assert (await scene.bench.events()).count("FAILED") == 3


async def test_a_scan_that_is_being_worked_on_is_finished_and_kept(scene: Scene) -> None:
    [task] = await scene.ask("1")

    async def cancelled_meanwhile(scan: ScanRecord) -> ScannedImage:
        await scene.control.cancel_run(RUN)
        await scene.keep()
        return await good(scan)

    [ended] = await scene.bench.work_until(cancelled_meanwhile, task.task_id)
    again = await scene.bench.ask(an_image_of("1"))
    assert ended.outcome.reason == "CANCELLED"
    [later] = await scene.bench.work_until(good, again.task_id)
    assert later.outcome.state is State.COMPLETE


async def test_a_request_that_comes_in_after_the_cancelling_ends_at_once(scene: Scene) -> None:
    await scene.ask("1")
    await scene.control.cancel_run(RUN)
    late = await scene.ask("2", "3")
    await scene.keep()
    assert [task.outcome.reason for task in late] == ["CANCELLED", "CANCELLED"]
    assert ((await scene.run()).state, await scene.work()) == (RunState.CANCELLED, 0)


async def test_platforms_of_a_cancelled_index_are_not_scanned_for_nobody(scene: Scene) -> None:
    other = await scene.bench.ask(image(b"arm64", "child"))
    await scene.bench.ask(image(b"index", "multi"), run_id=RUN)
    await expand(scene.bench, image(b"index", "multi"), (b"amd64", b"arm64"))
    assert await scene.work() == 2
    await scene.control.cancel_run(RUN)
    await scene.keep()
    assert await scene.work() == 1  # the platform that another task is about
    [ended] = await scene.bench.work_until(good, other.task_id)
    assert ended.outcome.state is State.COMPLETE


async def test_one_task_is_called_off_alone_and_what_has_ended_stays(scene: Scene) -> None:
    first, second = (await scene.ask("1", "2"))[:2]
    await scene.control.cancel_task(first.task_id)
    await scene.control.cancel_task(first.task_id)
    [ended] = await scene.bench.work_until(good, second.task_id)
    await scene.control.cancel_task(second.task_id)
    assert (await scene.bench.task(first.task_id)).outcome.reason == "CANCELLED"
    assert (await scene.bench.task(second.task_id)) == ended
    assert await scene.work() == 0


async def test_only_what_failed_is_tried_again(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    ids = [task.task_id for task in tasks]
    before = await scene.bench.work_until(out_of_reach, *ids)
    await scene.keep()
    assert (await scene.run()).state is RunState.COMPLETE_WITH_FAILURES

    running = await scene.control.rerun_run(RUN)
    await scene.keep()
    after = await scene.bench.work_until(good, *ids)
    await scene.keep()

    assert running.state is RunState.RUNNING
    run = await scene.run()
    assert (run.state, run.complete, run.images, run.failures) == (RunState.COMPLETE, 3, 3, ())
    assert [after[0], after[2]] == [before[0], before[2]]
    assert scene.rules.ended == 2


async def expand(bench: ScannerBench, index: ImageAddress, contents: tuple[bytes, ...]) -> None:
    """Does a worker's part of an index: replaces its scan by those of its platforms."""
    children = tuple(
        IndexChild(
            descriptor=Descriptor(media_type=OCI_MANIFEST, digest=digest_of(content), size=1),
            platform=parse_platform(f"linux/{content.decode()}"),
        )
        for content in contents
    )
    leases = []
    async with bench.pool.acquire() as db:
        while lease := await bench.store.claim(db, "test", 30, LANES):
            leases.append(lease)
    scans = await bench.recorder.begin(leases)
    for lease in leases:
        scan = scans[lease.scan_id]
        if scan.key.digest == index.digest:
            await bench.recorder.expand(lease, scan, ImageIndex(digest=index.digest, children=children))
        else:
            async with bench.pool.acquire() as db:
                await bench.store.release(db, lease)


async def out_of_reach(scan: ScanRecord) -> ScannedImage:
    """Fails on the image of tag 2, for a reason that may pass."""
    if scan.key.digest == an_image_of("2").digest:
        raise ScanFailure(Reason.REGISTRY_FORBIDDEN, "Not yours.")
    return await good(scan)


async def test_what_can_never_end_well_is_not_tried_for_ever(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(bad, *(task.task_id for task in tasks))
    await scene.control.rerun_run(RUN)
    await scene.keep()
    run = await scene.run()
    assert (run.state, run.failed, await scene.work()) == (RunState.COMPLETE_WITH_FAILURES, 1, 0)


async def test_a_cancelled_run_goes_on_when_it_is_tried_again(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.control.cancel_run(RUN)
    await scene.keep()
    await scene.control.rerun_run(RUN)
    await scene.keep()
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    assert (await scene.run()).state is RunState.COMPLETE


async def test_one_failed_task_is_tried_again_and_a_complete_one_refused(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    ended = await scene.bench.work_until(out_of_reach, *(task.task_id for task in tasks))
    await scene.keep()
    await scene.control.rerun_task(ended[1])
    assert (await scene.run()).state is RunState.RUNNING
    [again] = await scene.bench.work_until(good, ended[1].task_id)
    with pytest.raises(ServiceError) as caught:
        await scene.control.rerun_task(again)
    assert caught.value.reason == "TASK_NOT_FAILED"
    await scene.keep()
    assert (await scene.run()).state is RunState.COMPLETE
    with pytest.raises(ServiceError):
        await scene.control.rerun_run(RUN)


async def test_what_was_summed_up_before_a_change_does_not_count(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(bad, *(task.task_id for task in tasks))
    run = await scene.run()
    async with scene.bench.pool.acquire() as db:
        [looked_at] = await scene.bench.runs.runs_to_look_at(db, 0, 1)
        await scene.bench.runs.reopen_run(db, RUN)
        await scene.bench.runs.sum_up(db, run, looked_at.changes)
        assert await scene.bench.runs.standing(db, RUN) == (None, False)


async def test_a_run_whose_rules_forgot_it_is_forgotten_when_its_tasks_have_ended(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    scene.rules.run = None
    await scene.keep()
    assert await scene.bench.pool.fetchval("SELECT count(*) FROM scanner.run") == 0


async def test_a_run_whose_instance_is_deleted_while_it_is_ended_is_forgotten(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    scene.rules.refuses_to_end = not_found("RUN_NOT_EXIST", "There is no such run.")
    await scene.keep()
    assert await scene.bench.pool.fetchval("SELECT count(*) FROM scanner.run") == 0


async def test_a_run_that_cannot_be_ended_stops_no_other_and_is_looked_at_again(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    forgotten = [await scene.bench.ask(image(number, "9"), run_id=str(uuid.uuid4())) for number in (b"a", b"b")]
    await scene.bench.work_until(good, *(task.task_id for task in [*tasks, *forgotten]))
    scene.rules.refuses_to_end = ServiceError(Kind.INTERNAL, "INTERNAL", "It broke.")
    await scene.keep()
    assert [str(row["run_id"]) for row in await scene.bench.pool.fetch("SELECT run_id FROM scanner.run")] == [RUN]

    scene.rules.refuses_to_end = None
    await scene.keep()
    assert (await scene.run()).ended_at is not None


async def test_the_keeper_outlives_a_run_that_cannot_be_ended(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS)
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    scene.rules.refuses_to_end = ServiceError(Kind.INTERNAL, "INTERNAL", "It broke.")
    await scene.bench.pool.execute("UPDATE scanner.run SET look_at = now()")
    stopping = asyncio.Event()

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(scene.keeper.run(stopping), name="keeper")
        while not scene.rules.refused:
            await asyncio.sleep(0.01)
        scene.rules.refuses_to_end = None
        while not scene.rules.ended:
            await asyncio.sleep(0.01)
        stopping.set()


async def test_a_tag_gets_the_task_of_a_run_and_one_with_another_digest_is_in_doubt(scene: Scene) -> None:
    [task] = await scene.ask("1")
    row = await scene.bench.pool.fetchrow("SELECT task_id, digest, doubted_at FROM scanner.tag WHERE tag = '1'")
    assert row is not None
    assert (str(row["task_id"]), row["digest"], row["doubted_at"]) == (task.task_id, task.image.digest, None)

    await scene.bench.ask(image(b"moved", "1"), run_id=RUN)
    row = await scene.bench.pool.fetchrow("SELECT task_id, digest, doubted_at FROM scanner.tag WHERE tag = '1'")
    assert row is not None
    assert (str(row["task_id"]), row["digest"], row["doubted_at"] is None) == (
        task.task_id,
        task.image.digest,
        False,
    )


async def test_tasks_of_a_run_that_has_not_ended_are_kept_however_old(scene: Scene) -> None:
    tasks = await scene.ask(*TAGS[:2])
    await scene.bench.work_until(good, *(task.task_id for task in tasks))
    await scene.bench.pool.execute("UPDATE scanner.task SET ended_at = ended_at - interval '1 year'")
    await scene.bench.pool.execute("DELETE FROM scanner.tag")
    retention = retention_of("scanner", agings(ScannerSettings()), scene.bench.pool, SystemClock())
    await retention.clean(asyncio.Event())
    [last] = await scene.ask(TAGS[2])
    await scene.bench.work_until(good, last.task_id)
    await scene.keep()
    run = await scene.run()
    assert (run.state, run.complete, run.pending) == (RunState.COMPLETE, 3, 0)

    await retention.clean(asyncio.Event())
    assert await scene.bench.pool.fetchval("SELECT count(*) FROM scanner.task") == 1
    assert await scene.run() == run
