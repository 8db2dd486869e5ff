"""Runs of rules: what a registry has becomes scan requests, each once, whatever happens on the way."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import pytest

from services.kernel.bus.interface import Message
from services.kernel.db import Connection
from services.kernel.errors import Kind, ServiceError
from services.kernel.outbox import Outbox
from services.lab.faults import Delay, Status
from services.rules.api import Edition, InstanceChange, RunState, ScanRule, Scope, Trigger
from services.rules.metrics import RunFate
from services.rules.retention import agings
from services.rules.runs.asking import task_id_of
from services.rules.runs.preview import Preview
from services.rules.runs.store import RunStore
from services.rules.settings import RulesSettings
from tests.builders.retention import retention_of
from tests.builders.rules import new_rule
from tests.builders.runs import RunsBench, runs_bench
from tests.builders.runs_application import SOURCE

MANY = tuple(f"v{number}" for number in range(60))


@pytest.fixture
async def bench(database: str) -> AsyncIterator[RunsBench]:
    async with runs_bench(database) as made:
        yield made


async def a_rule(bench: RunsBench, name: str = "versions", **fields: Any) -> ScanRule:
    new = new_rule(name, tag_pattern="v.*", trigger=Trigger.MANUAL, target_ids=("tgt-a",), **fields)
    return await bench.rules.api.create_rule("prod", new)


async def refusal(call: object) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call  # type: ignore[misc] # an awaitable
    return caught.value


async def test_every_matching_tag_is_asked_for_with_what_the_rule_says(bench: RunsBench) -> None:
    await bench.push("team/app", *MANY, "latest")
    await bench.push("alone", "v1")
    rule = await a_rule(bench)

    started = await bench.rules.api.run_rule(rule.rule_id)
    run = await bench.asked(started.run_id)

    assert (started.state, run.state) == (RunState.ASKING, RunState.ASKED)
    assert (run.repositories, run.tags, run.requested, run.waiting) == (2, 62, 61, 0)
    assert await bench.images() == sorted(["alone:v1", *(f"team/app:{tag}" for tag in MANY)])
    request = next(one for one in await bench.rules.requests() if one.tag == "v7")
    assert (request.rule_ids, request.target_ids, request.run_id) == ((rule.rule_id,), ("tgt-a",), run.run_id)
    assert request.task_id == task_id_of(run.run_id, "team/app", "v7")
    assert request.asked_at == bench.clock.now()
    assert (await bench.rules.api.find_repository("prod", "_", "alone")).repo_id
    assert (await bench.rules.api.get_rule(rule.rule_id)).last_run_id == run.run_id


@pytest.mark.parametrize(
    ("fields", "images"),
    [
        ({"scope": Scope.NAMESPACE, "namespaces": ("team", "_")}, ["alone:v1", "team/app:v1"]),
        ({"scope": Scope.REPO, "namespaces": ("team/sub",), "repo_names": ("app",)}, ["team/sub/app:v1"]),
        ({"scope": Scope.NAMESPACE, "namespaces": ("nobody",)}, []),
    ],
)
async def test_a_run_reaches_as_far_as_its_rule(
    bench: RunsBench, fields: dict[str, Any], images: list[str]
) -> None:
    for repository in ("team/app", "team/sub/app", "alone"):
        await bench.push(repository, "v1")
    rule = await a_rule(bench, **fields)

    run = await bench.asked((await bench.rules.api.run_rule(rule.rule_id)).run_id)

    assert await bench.images() == images
    assert (run.state, run.ended_at is not None) == (RunState.ASKED, not images)


async def test_a_rule_for_repositories_needs_no_catalogue(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    bench.lab.faults.add("/v2/_catalog", Status(code=401))
    rule = await a_rule(bench, scope=Scope.REPO, namespaces=("team",), repo_names=("app", "gone"))

    run = await bench.asked((await bench.rules.api.run_rule(rule.rule_id)).run_id)

    assert (await bench.images(), run.vanished, run.unresolved) == (["team/app:v1"], 1, 0)


class Failing(Outbox):
    """Loses the database at one of its writes."""

    def __init__(self, at: int) -> None:
        super().__init__("rules")
        self._left = at

    async def add(self, connection: Connection, messages: Sequence[Message]) -> None:
        await super().add(connection, messages)
        self._left -= 1
        if not self._left:
            raise ConnectionResetError


@pytest.mark.parametrize("write", [1, 2])
async def test_a_run_that_breaks_off_goes_on_elsewhere_and_asks_for_each_tag_once(
    bench: RunsBench, write: int
) -> None:
    await bench.push("team/app", *MANY)
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id

    await bench.runner(Failing(write)).once()
    before = len(await bench.images())
    run = await bench.asked(run_id)

    assert before == (0 if write == 1 else 8)
    assert await bench.images() == sorted(f"team/app:{tag}" for tag in MANY)
    assert run.requested == len(MANY)


async def test_whoever_lost_the_lease_writes_nothing(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id
    bench.lab.faults.add("/v2/team/app/manifests/*", Delay(seconds=0.5), times=1)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        slow = group.create_task(bench.runner().once())
        while not [seen for seen in bench.lab.seen if "manifests/v1" in seen.path and seen.method == "HEAD"]:
            await asyncio.sleep(0.01)
        await bench.rules.pool.execute("UPDATE rules.run SET leased_until = now() - interval '1 s'")
        await bench.asked(run_id)
        assert await slow

    assert await bench.images() == ["team/app:v1"]


async def test_an_instance_that_is_deleted_in_the_middle_of_a_step_waits_for_it(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    rule = await a_rule(bench)
    run = await bench.rules.api.run_rule(rule.rule_id)
    store, rules = RunStore(), bench.rules.store

    async with bench.rules.pool.acquire() as conn:
        lease = await store.claim(conn, "test", 30)
        assert lease is not None
        async with asyncio.timeout(20), asyncio.TaskGroup() as group:
            async with conn.transaction():
                assert await store.hold(conn, lease, 30) is not None
                deleting = group.create_task(bench.rules.api.delete_instance("prod"))
                await bench.rules.waits_for_a_lock()
                assert run.instance_id in await rules.scan_settings(conn, [run.instance_id])
            await deleting
        assert await store.hold(conn, lease, 30) is None


async def test_an_instance_that_is_deleted_while_the_clock_starts_its_runs_waits_for_that(
    bench: RunsBench,
) -> None:
    rule = await a_rule(bench, schedule="0 * * * *")
    bench.clock.advance(3600)
    store, rules = RunStore(), bench.rules.store

    async with bench.rules.pool.acquire() as conn, asyncio.timeout(20), asyncio.TaskGroup() as group:
        async with conn.transaction():
            assert [due.rule_id for due in await store.due_rules(conn, bench.clock.now(), 50)] == [rule.rule_id]
            deleting = group.create_task(bench.rules.api.delete_instance("prod"))
            await bench.rules.waits_for_a_lock()
            assert rule.instance_id in await rules.scan_settings(conn, [rule.instance_id])
        await deleting


async def test_a_tag_that_vanished_is_noted_and_fails_nothing(bench: RunsBench) -> None:
    await bench.push("team/app", "v1", "v2")
    bench.lab.faults.add("/v2/team/app/manifests/v2", Status(code=404))
    rule = await a_rule(bench)

    run = await bench.asked((await bench.rules.api.run_rule(rule.rule_id)).run_id)

    assert (run.state, run.requested, run.vanished, run.unresolved) == (RunState.ASKED, 1, 1, 0)
    assert [(note.repository, note.tag, note.reason) for note in run.notes] == [
        ("team/app", "v2", "IMAGE_NOT_FOUND")
    ]


async def test_what_cannot_be_asked_for_is_noted_and_asked_for_again_when_the_run_is_resumed(
    bench: RunsBench,
) -> None:
    await bench.push("team/app", "v1", "v2")
    await bench.push("team/shut", "v1", "v2")
    bench.lab.faults.add("/v2/team/app/manifests/v2", Status(code=500), times=1)
    bench.lab.faults.add("/v2/team/shut/tags/list", Status(code=403), times=1)
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id

    first = await bench.asked(run_id)
    noted = sorted((note.repository, note.tag, note.reason) for note in first.notes)
    await bench.rules.api.resume_run(run_id)
    second = await bench.asked(run_id)

    assert (first.requested, first.unresolved) == (1, 2)
    assert noted == [("team/app", "v2", "REGISTRY_ERROR"), ("team/shut", "", "REGISTRY_FORBIDDEN")]
    assert (second.requested, second.unresolved, second.notes) == (4, 0, ())
    assert await bench.images() == ["team/app:v1", "team/app:v2", "team/shut:v1", "team/shut:v2"]


async def test_a_registry_that_is_away_puts_the_run_off_and_loses_nothing(bench: RunsBench) -> None:
    await bench.push("team/app", *MANY[:40])
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id
    bench.lab.faults.add("/v2/team/app/manifests/v3*", Status(code=429), times=3)

    await bench.runner(run_retry_first_seconds=60).once()
    put_off = await bench.rules.api.get_run(run_id)
    idle = await bench.runner().once()
    await bench.rules.pool.execute("UPDATE rules.run SET due_at = now()")
    run = await bench.asked(run_id)

    assert (put_off.state, put_off.reason) == (RunState.ASKING, "REGISTRY_RATE_LIMITED")
    assert not idle
    assert (run.state, run.reason, run.requested, run.notes) == (RunState.ASKED, "", 40, ())
    assert len(set(await bench.images())) == len(await bench.images()) == 40


async def test_a_registry_that_stays_away_ends_the_run_with_its_reason(bench: RunsBench) -> None:
    bench.lab.faults.add("/v2/_catalog", Status(code=429))
    rule = await a_rule(bench)

    started = await bench.rules.api.run_rule(rule.rule_id)
    run = await bench.asked(started.run_id, bench.runner(run_attempts=3))

    assert (run.state, run.reason) == (RunState.FAILED, "REGISTRY_RATE_LIMITED")
    assert (bench.counted(RunFate.PUT_OFF), bench.counted(RunFate.FAILED)) == (2, 1)
    assert run.ended_at is not None
    assert len([seen for seen in bench.lab.seen if seen.path == "/v2/_catalog"]) == 3


async def test_a_registry_that_lists_nothing_ends_the_run_at_once(bench: RunsBench) -> None:
    bench.lab.faults.add("/v2/_catalog", Status(code=404))
    rule = await a_rule(bench)

    run = await bench.asked((await bench.rules.api.run_rule(rule.rule_id)).run_id)

    assert (run.state, run.reason) == (RunState.FAILED, "REGISTRY_CATALOG_REFUSED")
    assert "name the repositories in the rule" in run.message


async def test_a_run_has_a_bound(bench: RunsBench) -> None:
    await bench.push("team/app", *MANY)
    rule = await a_rule(bench)

    started = await bench.rules.api.run_rule(rule.rule_id)
    run = await bench.asked(started.run_id, bench.runner(max_run_images=59))

    assert (run.state, run.reason, await bench.images()) == (RunState.FAILED, "RUN_TOO_LARGE", [])


async def test_a_run_is_not_doubled_and_a_request_is_one_run(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    rule, other = await a_rule(bench), await a_rule(bench, name="other")
    request_id = str(uuid.uuid4())

    run = await bench.rules.api.run_rule(rule.rule_id, request_id=request_id)
    again = await bench.rules.api.run_rule(rule.rule_id, request_id=request_id)
    second = await refusal(bench.rules.api.run_rule(rule.rule_id))
    reused = await refusal(bench.rules.api.run_rule(other.rule_id, request_id=request_id))

    assert run == again
    assert run.run_id == request_id
    assert (second.kind, second.reason) == (Kind.FAILED_PRECONDITION, "RUN_UNDER_WAY")
    assert second.metadata["run_id"] == run.run_id
    assert reused.reason == "REQUEST_ID_REUSED"
    await bench.asked(run.run_id)
    await bench.rules.api.end_run(run.run_id)
    assert (await bench.rules.api.run_rule(rule.rule_id)).run_id != run.run_id
    assert (await refusal(bench.rules.api.resume_run(run.run_id))).reason == "RUN_UNDER_WAY"


async def test_a_run_that_is_called_off_asks_for_no_more_until_it_is_resumed(bench: RunsBench) -> None:
    await bench.push("team/app", *MANY)
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id
    await bench.runner(Failing(2)).once()

    cancelled = await bench.rules.api.cancel_run(run_id)
    idle = await bench.runner().once()
    asked_for = len(await bench.images())
    await bench.rules.api.end_run(run_id)
    ended = await bench.rules.api.get_run(run_id)
    resumed = await bench.rules.api.resume_run(run_id)
    run = await bench.asked(run_id)

    assert (cancelled.state, cancelled.ended_at, idle, asked_for) == (RunState.CANCELLED, None, False, 8)
    assert ended.ended_at is not None
    assert (resumed.state, resumed.ended_at) == (RunState.ASKING, None)
    assert (run.requested, len(await bench.images())) == (60, 60)


async def test_a_run_that_asked_for_nothing_ends_when_it_is_called_off(bench: RunsBench) -> None:
    rule = await a_rule(bench)
    run = await bench.rules.api.cancel_run((await bench.rules.api.run_rule(rule.rule_id)).run_id)
    assert (run.state, run.ended_at is not None) == (RunState.CANCELLED, True)


async def test_a_personal_instance_is_refused_before_and_during_a_run(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    rule = await a_rule(bench)
    run_id = (await bench.rules.api.run_rule(rule.rule_id)).run_id
    await bench.rules.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))

    run = await bench.asked(run_id)

    assert (run.state, run.reason, await bench.images()) == (RunState.FAILED, "EDITION_NOT_SUPPORTED", [])
    for call in (bench.rules.api.run_rule, bench.rules.api.preview_rule):
        assert (await refusal(call(rule.rule_id))).reason == "EDITION_NOT_SUPPORTED"
    assert (await refusal(bench.rules.api.resume_run(run_id))).reason == "EDITION_NOT_SUPPORTED"


async def test_a_preview_counts_and_starts_nothing(bench: RunsBench) -> None:
    await bench.push("team/app", *MANY, "latest")
    await bench.push("team/shut", "v1")
    await bench.push("else/where", "v1")
    bench.lab.faults.add("/v2/team/shut/tags/list", Status(code=403))
    rule = await a_rule(bench, scope=Scope.NAMESPACE, namespaces=("team",))

    preview = await bench.rules.api.preview_rule(rule.rule_id)

    assert (preview.repositories, preview.tags, preview.matching, preview.complete) == (2, 61, 60, True)
    assert len(preview.sample) == 20
    assert set(preview.sample) <= {f"team/app:{tag}" for tag in MANY}
    assert [(note.repository, note.reason) for note in preview.notes] == [("team/shut", "REGISTRY_FORBIDDEN")]
    assert await bench.images() == []
    assert not await bench.runner().once()


def a_page(names: dict[str, list[str]], following: str = "") -> Status:
    headers = {"Link": f'<{following}>; rel="next"'} if following else {}
    return Status(code=200, headers=headers, body=msgspec.json.encode(names))


async def test_a_preview_counts_once_what_lists_and_pages_repeat(bench: RunsBench) -> None:
    faults = bench.lab.faults
    faults.add("/v2/_catalog", a_page({"repositories": ["team/app", "team/app"]}, "/v2/_catalog?last=1"), times=1)
    faults.add("/v2/_catalog", a_page({"repositories": ["team/app"]}))
    tags = "/v2/team/app/tags/list"
    faults.add(tags, a_page({"tags": ["v1", "v2", "v2", "latest"]}, f"{tags}?last=1"), times=1)
    faults.add(tags, a_page({"tags": ["v2", "latest", "v3"]}))
    rule = await a_rule(bench)

    preview = await bench.rules.api.preview_rule(rule.rule_id)

    assert (preview.repositories, preview.tags, preview.matching, preview.complete) == (1, 4, 3, True)
    assert preview.sample == ("team/app:v1", "team/app:v2", "team/app:v3")


async def test_a_preview_remembers_so_many_names_and_says_that_there_are_more(
    bench: RunsBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.rules.runs.preview._REMEMBERED", 2)
    await bench.push("team/app", "v1")
    tags = "/v2/team/app/tags/list"
    bench.lab.faults.add(tags, a_page({"tags": ["v1", "v2"]}, f"{tags}?last=1"), times=1)
    bench.lab.faults.add(tags, a_page({"tags": ["v3"]}))
    rule = await a_rule(bench)
    preview = await bench.rules.api.preview_rule(rule.rule_id)
    assert (preview.matching, preview.complete) == (2, False)


async def test_preview_and_run_tell_of_names_that_nothing_can_be_pulled_by(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    bench.lab.faults.add("/v2/_catalog", a_page({"repositories": ["team/app", "UP/case", "../x"]}))
    bench.lab.faults.add("/v2/team/app/tags/list", a_page({"tags": ["v1", "-x", "v1"]}))
    rule = await a_rule(bench)

    preview = await bench.rules.api.preview_rule(rule.rule_id)
    run = await bench.asked((await bench.rules.api.run_rule(rule.rule_id)).run_id)

    assert (run.state, run.repositories, run.requested, run.unresolved) == (RunState.ASKED, 1, 1, 0)
    assert run.vanished == 2  # lists with such names
    for notes in (preview.notes, run.notes):
        told = {note.repository: note.message for note in notes}
        assert {note.reason for note in notes} == {"IMAGE_NOT_FOUND"}
        assert "lists at least 2 names" in told[""]
        assert "lists at least 1 names" in told["team/app"]


async def test_a_preview_of_a_registry_that_lists_nothing_says_so(bench: RunsBench) -> None:
    bench.lab.faults.add("/v2/_catalog", Status(code=405))
    rule = await a_rule(bench)
    assert (await refusal(bench.rules.api.preview_rule(rule.rule_id))).reason == "REGISTRY_CATALOG_REFUSED"


async def test_a_preview_that_learnt_nothing_in_time_is_no_empty_one(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    bench.lab.faults.add("/v2/team/app/tags/list", Delay(seconds=5))
    rule = await a_rule(bench)
    preview = Preview(rule, SOURCE, at_once=2)
    assert (await refusal(preview.take(bench.access, 0.3))).reason == "REGISTRY_TIMEOUT"


async def test_a_preview_tells_what_it_counted_when_its_time_is_up(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    await bench.push("team/slow", "v1")
    bench.lab.faults.add("/v2/team/slow/tags/list", Delay(seconds=5))
    rule = await a_rule(bench)
    preview = await Preview(rule, SOURCE, at_once=2).take(bench.access, 1.0)
    assert (preview.matching, preview.complete) == (1, False)


async def test_a_rule_is_run_by_its_schedule_once_for_all_times_that_were_missed(bench: RunsBench) -> None:
    await bench.push("team/app", "v1")
    rule = await a_rule(bench, schedule="0 * * * *")
    assert rule.next_run_at is not None
    first, second = bench.timetable(), bench.timetable()

    early = await first.look()
    bench.clock.advance(5 * 3600)
    together = await asyncio.gather(first.look(), second.look())
    run_id = (await bench.rules.api.get_rule(rule.rule_id)).last_run_id
    run = await bench.asked(run_id)

    assert (early, sorted(together)) == (0, [0, 1])
    assert (run.scheduled, run.requested) == (True, 1)
    saved = await bench.rules.api.get_rule(rule.rule_id)
    assert saved.next_run_at == rule.next_run_at.replace(hour=18)
    assert await bench.rules.pool.fetchval("SELECT count(*) FROM rules.run") == 1


async def test_a_schedule_skips_a_run_while_the_last_one_has_not_ended(bench: RunsBench) -> None:
    rule = await a_rule(bench, schedule="0 * * * *")
    run = await bench.rules.api.run_rule(rule.rule_id)

    bench.clock.advance(3600)
    await bench.timetable().look()
    skipped = (await bench.rules.api.get_rule(rule.rule_id)).skipped
    await bench.asked(run.run_id)  # nothing matches: it has ended
    bench.clock.advance(3600)
    await bench.timetable().look()
    saved = await bench.rules.api.get_rule(rule.rule_id)

    assert run.run_id in skipped
    assert (bench.counted(RunFate.SKIPPED), bench.counted(RunFate.ASKED)) == (1, 1)
    assert (saved.skipped, saved.last_run_id != run.run_id) == ("", True)


async def test_a_schedule_of_a_personal_instance_is_skipped_with_a_reason(bench: RunsBench) -> None:
    rule = await a_rule(bench, schedule="0 * * * *")
    await bench.rules.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))
    bench.clock.advance(3600)
    await bench.timetable().look()
    assert "personal" in (await bench.rules.api.get_rule(rule.rule_id)).skipped


async def test_a_schedule_that_stays_keeps_its_next_time_and_one_that_goes_has_none(bench: RunsBench) -> None:
    rule = await a_rule(bench, schedule="0 * * * *")
    bench.clock.advance(7200)
    kept = await bench.rules.api.update_rule(rule.rule_id, new_rule("renamed", schedule=" 0  * * * *"))
    gone = await bench.rules.api.update_rule(rule.rule_id, new_rule("renamed"))
    assert (kept.next_run_at, kept.schedule) == (rule.next_run_at, "0 * * * *")
    assert (gone.next_run_at, gone.schedule) == (None, "")
    assert (await refusal(a_rule(bench, name="bad", schedule="never"))).reason == "INVALID_SCHEDULE"


async def test_runs_that_are_long_over_are_forgotten_with_their_tags_open_ones_are_not(
    bench: RunsBench,
) -> None:
    await bench.push("team/app", "v1")
    over, still_open = [await bench.rules.api.run_rule((await a_rule(bench, name)).rule_id) for name in ("a", "b")]
    await bench.asked(over.run_id)
    await bench.asked(still_open.run_id)
    await bench.rules.api.end_run(over.run_id)
    retention = retention_of("rules", agings(RulesSettings(run_days=30)), bench.rules.pool, bench.clock)

    bench.clock.advance(29 * 86_400)
    await retention.clean(asyncio.Event())
    assert await bench.rules.pool.fetchval("SELECT count(*) FROM rules.run") == 2
    bench.clock.advance(2 * 86_400)
    await retention.clean(asyncio.Event())
    for table in ("run", "run_repository", "run_tag"):
        left = await bench.rules.pool.fetch(f"SELECT run_id FROM rules.{table}")  # noqa: S608 - one of ours
        assert [str(row["run_id"]) for row in left] == [still_open.run_id]
