"""The worker: every task ends with a reason, whatever dies, and no tag is written twice or by somebody else."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from services.fixer.api import FixState, FixTask, Stage
from services.fixer.failure import FixFailure, FixReason
from services.fixer.order import FixOrder, Verdict
from services.fixer.plan.outcome import NotFixable
from services.kernel.errors import Kind, ServiceError
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.wakeup import Wakeups
from tests.builders.fixer import WANTED, FixerBench, fixer_bench
from tests.fakes.fixer import BACKUP, FIXED, FakeWork, Step, a_plan, a_result


@pytest.fixture
async def bench(database: str) -> AsyncIterator[FixerBench]:
    async with fixer_bench(database, retry_first_seconds=0.0) as opened:
        yield opened


class Gate:
    """A step that waits until it is let through."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.open = asyncio.Event()

    async def __call__(self, order: FixOrder) -> None:
        del order
        self.reached.set()
        await self.open.wait()


def failing(error: Exception, times: int = 1_000) -> Step:
    async def fail(order: FixOrder) -> None:
        nonlocal times
        del order
        times -= 1
        if times >= 0:
            raise error

    return fail


async def fixed(bench: FixerBench) -> FixTask:
    task = await bench.api.create_fix(WANTED)
    assert await bench.work_once()
    return await bench.task(task.task_id)


async def test_a_whole_fix_succeeds_and_tells_all_about_it(bench: FixerBench) -> None:
    task = await fixed(bench)
    assert (task.state, task.reason, task.message, task.stage) == (FixState.SUCCEEDED, "", "", Stage.PROVING)
    assert (task.fixed_tag, task.fixed_digest, task.backup_tag) == ("1.0_fixd", FIXED, BACKUP)
    assert (task.previous_digest, task.scan_task_id, set(task.attached)) == ("sha256:old", "scan-1", {"vex"})
    assert (task.fixed, task.still_present, task.not_fixable) == (1, 0, 0)
    [platform] = task.platforms
    assert (platform.fixed_digest, platform.layer_bytes, platform.packages[0].to_version) == (FIXED, 1024, "1.1")
    assert task.started_at is not None
    assert task.ended_at is not None
    [event] = await bench.events()
    assert (event.task_id, event.state, event.fixed) == (task.task_id, event.STATE_SUCCEEDED, 1)
    assert not await bench.work_once()
    [order] = bench.work.orders
    assert (order.task_id, order.repository.path, order.tag) == (task.task_id, "team/app", "1.0")


@pytest.mark.parametrize(
    ("plan", "counts", "words"),
    [
        (
            a_plan(left_over=NotFixable.NEEDS_REBUILD),
            (1, 0, 1),
            "1 of 2 findings are fixed, 1 left (1 NEEDS_REBUILD).",
        ),
        (a_plan(verdict=Verdict.STILL_PRESENT), (0, 1, 0), "0 of 1 findings are fixed, 1 left."),
    ],
)
async def test_a_fix_that_leaves_something_is_partial_and_says_what(
    bench: FixerBench, plan: object, counts: tuple[int, int, int], words: str
) -> None:
    bench.work.result = a_result(plan)  # type: ignore[arg-type] # as parametrized
    task = await fixed(bench)
    assert (task.state, task.message) == (FixState.PARTIAL, words)
    assert (task.fixed, task.still_present, task.not_fixable) == counts


async def test_a_finding_on_two_platforms_counts_once_by_the_worst_that_became_of_it(bench: FixerBench) -> None:
    result = a_result()
    bench.work.result = dataclasses.replace(
        result, platforms=(*result.platforms, *a_result(a_plan(verdict=Verdict.STILL_PRESENT)).platforms)
    )
    task = await fixed(bench)
    assert (task.state, task.fixed, task.still_present) == (FixState.PARTIAL, 0, 1)


async def test_findings_that_the_original_has_not_are_told(bench: FixerBench) -> None:
    bench.work.result = dataclasses.replace(a_result(), new_findings=2)
    task = await fixed(bench)
    assert (task.state, task.new_findings) == (FixState.SUCCEEDED, 2)
    assert "2 findings that the original has not" in task.message


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (
            FixFailure(FixReason.PACKAGE_TAMPERED, "A package is not what was signed.", hint="Look."),
            "PACKAGE_TAMPERED",
        ),
        (ScanFailure(Reason.REGISTRY_FORBIDDEN, "The registry refuses."), "REGISTRY_FORBIDDEN"),
        (ServiceError(Kind.NOT_FOUND, "INSTANCE_NOT_EXIST", "There is none."), "INSTANCE_GONE"),
        (ServiceError(Kind.FAILED_PRECONDITION, "SOMETHING_ELSE", "No."), "SOMETHING_ELSE"),
    ],
)
async def test_what_cannot_pass_ends_the_task_at_once(bench: FixerBench, error: Exception, reason: str) -> None:
    bench.work.before[Stage.FETCHING] = failing(error)
    task = await fixed(bench)
    assert (task.state, task.reason, task.attempts) == (FixState.FAILED, reason, 1)
    assert task.message
    assert bench.work.written == []
    [event] = await bench.events()
    assert (event.state, event.reason, event.message) == (event.STATE_FAILED, reason, task.message)


@pytest.mark.parametrize(
    "error",
    [
        FixFailure(FixReason.REPOSITORY_UNREACHABLE, "The repository does not answer."),
        ScanFailure(Reason.REGISTRY_TIMEOUT, "The registry does not answer."),
        ValueError("a fault of ours"),
    ],
)
async def test_what_may_pass_is_tried_again_so_often_and_no_more(bench: FixerBench, error: Exception) -> None:
    bench.work.before[Stage.FETCHING] = failing(error)
    task = await fixed(bench)
    assert (task.state, task.attempts) == (FixState.RETRYING, 1)
    assert task.reason
    assert await bench.events() == []
    for _ in range(3):
        assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.attempts) == (FixState.FAILED, 4)
    assert "fault of ours" not in task.message or task.reason == "INTERNAL"
    assert not await bench.work_once()


async def test_what_passed_is_forgotten_when_it_succeeds(bench: FixerBench) -> None:
    bench.work.before[Stage.FETCHING] = failing(FixFailure(FixReason.DISK_FULL, "No room."), times=1)
    await fixed(bench)
    assert await bench.work_once()
    [task] = (await bench.api.list_fixes()).items
    assert (task.state, task.reason, task.hint, task.attempts) == (FixState.SUCCEEDED, "", "", 2)


async def test_a_pause_is_as_long_as_the_repository_asks(database: str) -> None:
    async with fixer_bench(database) as bench:
        error = FixFailure(FixReason.REPOSITORY_UNREACHABLE, "Busy.", retry_after=120.0)
        bench.work.before[Stage.FETCHING] = failing(error, times=1)
        task = await fixed(bench)
        await bench.later(110)
        assert not await bench.work_once()
        await bench.later(15)
        assert await bench.work_once()
        assert (await bench.task(task.task_id)).state is FixState.SUCCEEDED


async def test_attempts_do_not_count_while_another_service_is_away_until_patience_ends(bench: FixerBench) -> None:
    away = ServiceError(Kind.UNAVAILABLE, "PEER_UNAVAILABLE", "The scanner does not answer.")
    bench.work.before[Stage.PLANNING] = failing(away)
    task = await fixed(bench)
    for _ in range(6):
        assert await bench.work_once()
    assert (await bench.task(task.task_id)).attempts == 0
    await bench.pool.execute("UPDATE fixer.task SET created_at = created_at - interval '7 hours', attempts = 3")
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.reason) == (FixState.FAILED, "PEER_UNAVAILABLE")


async def test_an_attempt_has_a_deadline(database: str) -> None:
    async with fixer_bench(database, fix_seconds=0.3, attempts=1) as bench:
        bench.work.before[Stage.BUILDING] = Gate()
        task = await fixed(bench)
        assert (task.state, task.reason, bench.work.cleaned) == (FixState.FAILED, "FIX_TIMED_OUT", 1)


# crashes


async def crash_at(bench: FixerBench, stage: Stage | None) -> FixTask:
    """A worker that is gone without a word when it came so far; None: between about_to_push and the tag."""
    gate, dying = Gate(), FakeWork()
    if stage is None:
        dying.after_push = gate
    else:
        dying.before[stage] = gate
    task = await bench.api.create_fix(WANTED)
    worker = bench.another_worker("dying", dying)
    [held] = await worker.claim(1)
    working = asyncio.create_task(worker.hold(held))
    await asyncio.wait_for(gate.reached.wait(), 20)
    worker._give_back = _nothing  # type: ignore[method-assign, assignment]
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert not await bench.work_once()  # the lease still holds
    await bench.later(10)
    return task


async def _nothing(*_: object) -> None:
    return None


@pytest.mark.parametrize("stage", [Stage.FETCHING, Stage.PUSHING, Stage.PROVING, None])
async def test_after_a_crash_somebody_goes_on_and_knows_what_was_about_to_be_written(
    bench: FixerBench, stage: Stage | None
) -> None:
    task = await crash_at(bench, stage)
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.attempts) == (FixState.SUCCEEDED, 2)
    [before] = bench.work.resumed
    if stage in (Stage.FETCHING, Stage.PUSHING):
        assert before is None
    else:
        assert before is not None
        assert (before.tag, before.digest, before.previous, before.backup_tag) == (
            "1.0_fixd",
            FIXED,
            "sha256:old",
            BACKUP,
        )


async def test_workers_that_die_again_and_again_end_the_task_and_say_that_the_tag_may_be_written(
    bench: FixerBench,
) -> None:
    task = await crash_at(bench, None)
    await bench.pool.execute("UPDATE fixer.task SET attempts = 4")
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.reason) == (FixState.FAILED, "WORKER_DIED")
    assert "1.0_fixd" in task.hint
    assert bench.work.orders == []


async def test_who_lost_the_lease_writes_nothing_more_and_is_stopped(bench: FixerBench) -> None:
    gate, slow = Gate(), FakeWork()
    slow.before[Stage.PUSHING] = gate
    slow.result = a_result(tag="stolen")
    task = await bench.api.create_fix(WANTED)
    worker = bench.another_worker("slow", slow)
    [held] = await worker.claim(1)
    working = asyncio.create_task(worker.hold(held))
    await asyncio.wait_for(gate.reached.wait(), 20)
    async with asyncio.timeout(20):
        await bench.later(10)
        while not await bench.work_once():  # a heartbeat came between
            await bench.later(10)
    gate.open.set()
    await asyncio.wait_for(working, 20)
    assert slow.written == []
    task = await bench.task(task.task_id)
    assert (task.state, task.fixed_tag) == (FixState.SUCCEEDED, "1.0_fixd")
    assert len(await bench.events()) == 1


async def test_a_heartbeat_holds_the_lease_for_longer_than_it_lasts(database: str) -> None:
    async with fixer_bench(database, lease_seconds=1.0) as bench:
        gate = Gate()
        bench.work.before[Stage.BUILDING] = gate
        await bench.api.create_fix(WANTED)
        [held] = await bench.worker.claim(1)
        working = asyncio.create_task(bench.worker.hold(held))
        await asyncio.sleep(1.6)
        assert not await bench.work_once(bench.another_worker())
        gate.open.set()
        await asyncio.wait_for(working, 20)
        assert (await bench.api.list_fixes()).items[0].state is FixState.SUCCEEDED


async def test_a_process_that_stops_gives_its_task_back_at_once(bench: FixerBench) -> None:
    gate = Gate()
    bench.work.before[Stage.BUILDING] = gate
    task = await bench.api.create_fix(WANTED)
    [held] = await bench.worker.claim(1)
    working = asyncio.create_task(bench.worker.hold(held))
    await asyncio.wait_for(gate.reached.wait(), 20)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    assert bench.work.cleaned == 1
    gate.open.set()
    assert await bench.work_once(bench.another_worker())
    task = await bench.task(task.task_id)
    assert (task.state, task.attempts) == (FixState.SUCCEEDED, 1)


async def test_what_is_told_while_the_database_is_away_is_written_once_it_is_back(
    bench: FixerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails = {"note_stage": 2, "note_push": 1, "lock_leased": 1, "heartbeat": 1}
    for name in list(fails):
        whole = getattr(bench.store, name)

        async def flaky(*args: object, name: str = name, whole: object = whole, **more: object) -> object:
            fails[name] -= 1
            if fails[name] >= 0:
                raise ConnectionResetError(name)
            return await whole(*args, **more)  # type: ignore[operator] # a method of the store

        monkeypatch.setattr(type(bench.store), name, staticmethod(flaky))
    monkeypatch.setattr("services.fixer.work.progress._LOOK_SECONDS", 0.01)
    task = await fixed(bench)
    assert (task.state, bench.work.written) == (FixState.SUCCEEDED, ["1.0_fixd"])
    assert all(left <= 0 for left in fails.values())


async def test_an_outage_that_the_fix_itself_meets_leaves_the_task_to_the_next(
    bench: FixerBench,
) -> None:
    bench.work.before[Stage.PLANNING] = failing(ConnectionResetError(), times=1)
    task = await fixed(bench)
    assert task.state is FixState.RUNNING
    await bench.later(10)
    assert await bench.work_once()
    assert (await bench.task(task.task_id)).state is FixState.SUCCEEDED


# limits


async def test_an_instance_has_only_so_many_in_work_over_all_processes(database: str) -> None:
    async with fixer_bench(database, concurrent_per_instance=2) as bench:
        for n in range(3):
            await bench.api.create_fix(dataclasses.replace(WANTED, tag=f"{n}"))
        workers = [bench.another_worker(f"w{n}") for n in range(3)]
        taken = await asyncio.gather(*(worker.claim(1) for worker in workers))
        assert sorted(map(len, taken)) == [0, 1, 1]


async def test_a_process_works_on_so_many_at_once(database: str) -> None:
    async with fixer_bench(database, concurrent_fixes=2) as bench:
        gate = Gate()
        bench.work.before[Stage.BUILDING] = gate
        for n in range(3):
            await bench.api.create_fix(dataclasses.replace(WANTED, tag=f"{n}"))
        stopping = asyncio.Event()
        running = asyncio.create_task(bench.worker.run(stopping))
        async with asyncio.timeout(20):
            while len(bench.work.orders) < 2:
                await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)
        assert len(bench.work.orders) == 2
        gate.open.set()
        async with asyncio.timeout(20):
            while any(task.state is not FixState.SUCCEEDED for task in (await bench.api.list_fixes()).items):
                await asyncio.sleep(0.02)
        stopping.set()
        await asyncio.wait_for(running, 20)


# calling off


@pytest.mark.parametrize("stage", [Stage.PLANNING, Stage.FETCHING, Stage.BUILDING, Stage.PUSHING])
async def test_a_fix_is_called_off_at_once_while_no_tag_can_have_been_written(
    bench: FixerBench, stage: Stage
) -> None:
    gate = Gate()
    bench.work.before[stage] = gate  # before it tells that it pushes, it may still be called off
    task = await bench.api.create_fix(WANTED)
    worker = bench.another_worker()
    wakeups: Wakeups = worker._wakeups
    stopping = asyncio.Event()
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(wakeups.run(stopping))
        [held] = await worker.claim(1)
        working = group.create_task(worker.hold(held))
        await gate.reached.wait()
        called = await bench.api.cancel_fix(task.task_id)
        assert called.cancelling or called.state is FixState.FAILED
        await working
        stopping.set()
    task = await bench.task(task.task_id)
    assert (task.state, task.reason, task.cancelling) == (FixState.FAILED, "CANCELLED", False)
    assert (bench.work.written, bench.work.cleaned) == ([], 1)
    assert (await bench.api.cancel_fix(task.task_id)).state is FixState.FAILED
    assert len(await bench.events()) == 1


@pytest.mark.parametrize("after_push", [True, False])
async def test_a_fix_that_writes_cannot_be_called_off_and_goes_on(bench: FixerBench, after_push: bool) -> None:
    gate = Gate()
    if after_push:
        bench.work.after_push = gate
    else:
        bench.work.before[Stage.PROVING] = gate
    task = await bench.api.create_fix(WANTED)
    [held] = await bench.worker.claim(1)
    working = asyncio.create_task(bench.worker.hold(held))
    await asyncio.wait_for(gate.reached.wait(), 20)
    with pytest.raises(ServiceError) as caught:
        await bench.api.cancel_fix(task.task_id)
    assert caught.value.reason == "FIX_PUSHING"
    gate.open.set()
    await asyncio.wait_for(working, 20)
    assert (await bench.task(task.task_id)).state is FixState.SUCCEEDED


async def test_between_two_attempts_a_fix_is_called_off_unless_one_was_about_to_write(bench: FixerBench) -> None:
    bench.work.before[Stage.FETCHING] = failing(FixFailure(FixReason.DISK_FULL, "No room."), times=1)
    task = await fixed(bench)
    assert (await bench.api.cancel_fix(task.task_id)).reason == "CANCELLED"

    bench.work.before = {Stage.PROVING: failing(FixFailure(FixReason.DISK_FULL, "No room."), times=1)}
    task = await fixed(bench)
    assert task.state is FixState.RETRYING
    with pytest.raises(ServiceError) as caught:
        await bench.api.cancel_fix(task.task_id)
    assert caught.value.reason == "FIX_PUSHING"


async def test_a_task_whose_worker_died_ends_when_somebody_calls_it_off(bench: FixerBench) -> None:
    task = await crash_at(bench, Stage.BUILDING)
    assert (await bench.api.cancel_fix(task.task_id)).cancelling
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.reason, bench.work.orders) == (FixState.FAILED, "CANCELLED", [])


# putting back


async def test_a_fix_is_reverted_by_a_worker(bench: FixerBench) -> None:
    task = await fixed(bench)
    assert (await bench.api.revert_fix(task.task_id)).state is FixState.REVERTING
    assert (await bench.api.revert_fix(task.task_id)).state is FixState.REVERTING
    with pytest.raises(ServiceError) as caught:
        await bench.api.create_fix(WANTED)
    assert caught.value.reason == "FIX_UNDER_WAY"
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.revert_reason) == (FixState.REVERTED, "")
    assert task.reverted_at is not None
    [result] = bench.work.reverted
    assert (result.tag, result.digest, result.backup_tag) == ("1.0_fixd", FIXED, BACKUP)
    assert (await bench.api.revert_fix(task.task_id)).state is FixState.REVERTED
    assert len(await bench.events()) == 1


async def test_what_cannot_be_put_back_stands_as_it_did_and_says_why(bench: FixerBench) -> None:
    bench.work.revert_failure = FixFailure(FixReason.TAG_MOVED, "The tag holds something else now.")
    task = await fixed(bench)
    await bench.api.revert_fix(task.task_id)
    assert await bench.work_once()
    task = await bench.task(task.task_id)
    assert (task.state, task.revert_reason) == (FixState.SUCCEEDED, "TAG_MOVED")
    assert "something else" in task.revert_message
    bench.work.revert_failure = None
    await bench.api.revert_fix(task.task_id)
    assert await bench.work_once()
    assert (await bench.task(task.task_id)).state is FixState.REVERTED


async def test_a_registry_that_is_away_is_asked_again_to_put_back(bench: FixerBench) -> None:
    bench.work.revert_failure = ScanFailure(Reason.REGISTRY_UNREACHABLE, "It does not answer.")
    task = await fixed(bench)
    await bench.api.revert_fix(task.task_id)
    assert await bench.work_once()
    assert (await bench.task(task.task_id)).state is FixState.REVERTING
    bench.work.revert_failure = None
    assert await bench.work_once()
    assert (await bench.task(task.task_id)).state is FixState.REVERTED


async def test_a_fix_that_nobody_could_prove_can_be_reverted(bench: FixerBench) -> None:
    error = FixFailure(FixReason.RESCAN_FAILED, "Nobody could say what is in it.", hint="Scan it.")
    bench.work.before[Stage.PROVING] = failing(error)
    task = await fixed(bench)
    assert (task.state, task.reason, task.hint) == (FixState.FAILED, "RESCAN_FAILED", "Scan it.")
    await bench.api.revert_fix(task.task_id)
    assert await bench.work_once()
    [result] = bench.work.reverted
    assert (result.tag, result.digest, result.platforms) == ("1.0_fixd", FIXED, ())


async def test_what_wrote_nothing_or_has_not_ended_cannot_be_reverted(bench: FixerBench) -> None:
    task = await bench.api.create_fix(WANTED)
    for _ in range(2):
        with pytest.raises(ServiceError) as caught:
            await bench.api.revert_fix(task.task_id)
        assert caught.value.reason == "FIX_NOT_REVERTIBLE"
        await bench.api.cancel_fix(task.task_id)


async def test_a_tag_that_held_nothing_before_is_not_put_back(bench: FixerBench) -> None:
    task = await fixed(bench)
    await bench.pool.execute("UPDATE fixer.task SET pushed_previous = ''")
    with pytest.raises(ServiceError) as caught:
        await bench.api.revert_fix(task.task_id)
    assert caught.value.reason == "FIX_NOT_REVERTIBLE"
    assert "1.0_fixd held nothing before" in caught.value.message
    assert (await bench.task(task.task_id)).state is FixState.SUCCEEDED


async def test_nothing_is_put_back_while_another_fix_of_the_tag_is_under_way(bench: FixerBench) -> None:
    task = await fixed(bench)
    other = await bench.api.create_fix(WANTED)
    with pytest.raises(ServiceError) as caught:
        await bench.api.revert_fix(task.task_id)
    assert (caught.value.reason, caught.value.metadata["task_id"]) == ("FIX_UNDER_WAY", other.task_id)
