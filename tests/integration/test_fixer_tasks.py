"""What may be fixed, and what is told to whoever asks for something else; tasks as they are read."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client import CollectorRegistry

from services.fixer.api import FixFilter, FixRequest, FixState, Verdict
from services.fixer.failure import FixFailure, FixReason
from services.fixer.retention import agings
from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import digest_of
from services.kernel.model.engine import Engine
from services.kernel.retention import Retention
from services.rules.api import Edition, InstanceChange, NewScanRule, Scope, Trigger
from services.scanner.api import State
from tests.builders.fixer import WANTED, FixerBench, fixer_bench
from tests.fakes.fixer import MovedTag
from tests.fakes.scanner import DIGEST, a_finding, a_task


@pytest.fixture
async def bench(database: str) -> AsyncIterator[FixerBench]:
    async with fixer_bench(database) as opened:
        yield opened


async def refused(bench: FixerBench, wanted: FixRequest = WANTED, **more: Any) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await bench.api.create_fix(wanted, **more)
    assert caught.value.message
    return caught.value


async def test_a_task_is_of_what_the_registry_has_and_waits(bench: FixerBench) -> None:
    task = await bench.api.create_fix(WANTED)
    assert (task.state, task.digest, task.tag, task.findings, task.stage) == (
        FixState.PENDING,
        DIGEST,
        "1.0",
        (),
        None,
    )
    assert await bench.task(task.task_id) == task


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"tag": ""}, "TAG_REQUIRED", "order.tag"),
        ({"tag": "", "digest": DIGEST}, "TAG_REQUIRED", "order.tag"),
        ({"tag": "1.0_fixd"}, "TAG_IS_A_FIX", "order.tag"),
        ({"tag": "a b"}, "INVALID_REFERENCE", "order.tag"),
        ({"tag": "t" * 124}, "TAG_TOO_LONG", ""),
        ({"repository": ""}, "INVALID_IMAGE", "order.repository"),
        ({"repository": "App"}, "INVALID_REFERENCE", "order.repository"),
        ({"findings": ("CVE-1\0",)}, "INVALID_FINDING_ID", "order.finding_ids"),
        ({"findings": tuple(map(str, range(1001)))}, "TOO_MANY_FINDINGS", "order.finding_ids"),
        ({"findings": ("CVE-1999-1",)}, "FINDING_NOT_EXIST", "order.finding_ids"),
        ({"instance": "nowhere"}, "INSTANCE_NOT_EXIST", ""),
        ({"digest": digest_of(b"other")}, "TAG_MOVED", ""),
    ],
)
async def test_what_cannot_be_meant_is_refused(
    bench: FixerBench, changes: dict[str, Any], reason: str, field: str
) -> None:
    error = await refused(bench, dataclasses.replace(WANTED, **changes))
    assert error.reason == reason
    assert not field or error.field == field
    assert await bench.pool.fetchval("SELECT count(*) FROM fixer.task") == 0


async def test_a_long_tag_may_be_written_over(bench: FixerBench) -> None:
    assert (await bench.api.create_fix(dataclasses.replace(WANTED, tag="t" * 124, overwrite=True))).overwrite


async def test_a_personal_instance_is_refused(bench: FixerBench) -> None:
    await bench.rules.update_instance("lab", InstanceChange(edition=Edition.PERSONAL))
    assert (await refused(bench)).reason == "EDITION_NOT_SUPPORTED"


async def test_results_of_trivy_are_no_ground_for_a_fix(bench: FixerBench) -> None:
    bench.scanner.task = a_task(engine=Engine.TRIVY)
    error = await refused(bench)
    assert (error.reason, error.kind) == ("ENGINE_CANNOT_FIX", Kind.FAILED_PRECONDITION)
    assert "security-center" in error.hint
    with pytest.raises(ServiceError) as caught:
        await bench.api.preview_fix(WANTED)
    assert caught.value.reason == "ENGINE_CANNOT_FIX"


async def test_of_a_scan_by_both_engines_only_what_security_center_found_is_fixed(bench: FixerBench) -> None:
    bench.scanner.task = a_task(engine=Engine.ALL)
    bench.scanner.result = (
        replace(a_finding(), engines=("SECURITY_CENTER", "TRIVY"), aliases=("DSA-1",)),
        replace(a_finding("CVE-2024-0002"), engines=("TRIVY",)),
    )
    task = await bench.api.create_fix(dataclasses.replace(WANTED, findings=("DSA-1", "CVE-2024-0001")))
    assert task.findings == ("CVE-2024-0001",)
    error = await refused(bench, dataclasses.replace(WANTED, findings=("CVE-2024-0002",)))
    assert error.reason == "FINDING_NOT_EXIST"
    assert "TRIVY" in error.hint


async def test_an_older_scan_by_security_center_does_where_trivy_came_later(bench: FixerBench) -> None:
    bench.scanner.older = (a_task(task_id="6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a57"), (a_finding(),))
    bench.scanner.task = a_task(engine=Engine.TRIVY)
    assert (await bench.api.create_fix(WANTED)).state is FixState.PENDING


@pytest.mark.parametrize(
    ("state", "reason"),
    [(State.PENDING, "SCAN_UNDER_WAY"), (State.RETRYING, "SCAN_UNDER_WAY"), (State.FAILED, "SCAN_FAILED")],
)
async def test_without_a_complete_scan_it_is_told_why_there_is_none(
    bench: FixerBench, state: State, reason: str
) -> None:
    bench.scanner.task = a_task(state=state, reason="LAYER_CORRUPT", message="A layer cannot be read.")
    bench.scanner.result = None
    error = await refused(bench)
    assert error.reason == reason
    assert error.hint


async def test_a_tag_that_was_never_scanned_is_told_from_one_that_was_pushed_since(database: str) -> None:
    scanner = MovedTag(digest_of(b"pushed since"))
    async with fixer_bench(database, scanner=scanner) as bench:
        assert (await refused(bench)).reason == "IMAGE_NOT_SCANNED"
        scanner.task = a_task()
        error = await refused(bench)
        assert (error.reason, error.metadata["present"]) == ("IMAGE_CHANGED", scanner.present)


async def test_a_scan_that_begins_while_a_fix_is_asked_for_is_under_way(database: str) -> None:
    scanner = MovedTag(a_task().digest)
    async with fixer_bench(database, scanner=scanner) as bench:
        scanner.task = a_task(state=State.PENDING)
        assert (await refused(bench)).reason == "SCAN_UNDER_WAY"


async def test_a_target_that_there_is_not_is_refused(bench: FixerBench) -> None:
    assert (await refused(bench, target_ids=("tgt-none",))).reason == "TARGET_NOT_EXIST"


async def test_the_same_order_again_is_the_same_task_and_another_one_waits_its_turn(bench: FixerBench) -> None:
    first = await bench.api.create_fix(WANTED, target_ids=("tgt-1",))
    assert (await bench.api.create_fix(WANTED)).task_id == first.task_id
    for other in (
        dataclasses.replace(WANTED, overwrite=True),
        dataclasses.replace(WANTED, findings=("CVE-2024-0001",)),
    ):
        error = await refused(bench, other)
        assert (error.reason, error.metadata["task_id"]) == ("FIX_UNDER_WAY", first.task_id)
    assert (await bench.api.create_fix(dataclasses.replace(WANTED, tag="2.0"))).task_id != first.task_id
    await bench.api.cancel_fix(first.task_id)
    assert (await bench.api.create_fix(WANTED)).task_id != first.task_id


async def test_two_who_ask_at_once_get_one_task(bench: FixerBench) -> None:
    tasks = await asyncio.gather(*(bench.api.create_fix(WANTED) for _ in range(5)))
    assert len({task.task_id for task in tasks}) == 1


async def test_a_request_again_returns_its_task_whatever_became_of_it(bench: FixerBench) -> None:
    request_id = str(uuid.uuid4())
    first = await bench.api.create_fix(WANTED, request_id=request_id)
    assert first.task_id == request_id
    await bench.api.cancel_fix(first.task_id)
    bench.scanner.task = None  # nobody is asked again
    again = await bench.api.create_fix(WANTED, request_id=request_id)
    assert (again.task_id, again.state) == (request_id, FixState.FAILED)
    error = await refused(bench, dataclasses.replace(WANTED, tag="2.0"), request_id=request_id)
    assert error.reason == "REQUEST_ID_REUSED"
    assert (await refused(bench, request_id="x")).reason == "INVALID_REQUEST_ID"


async def test_an_instance_has_only_so_many_open_fixes(database: str) -> None:
    async with fixer_bench(database, open_per_instance=1) as bench:
        await bench.api.create_fix(WANTED)
        error = await refused(bench, dataclasses.replace(WANTED, tag="2.0"))
        assert (error.reason, error.kind) == ("TOO_MANY_FIXES", Kind.RESOURCE_EXHAUSTED)
        assert (await bench.api.create_fix(WANTED)).state is FixState.PENDING


async def test_rules_that_cover_the_tag_have_their_targets_told(bench: FixerBench) -> None:
    rule = NewScanRule(
        name="a", scope=Scope.NAMESPACE, namespaces=("team",), tag_pattern=".*", target_ids=("tgt-1",)
    )
    covers = await bench.rules.create_rule("lab", rule)
    for other in (
        dataclasses.replace(rule, name="b", namespaces=("others",)),
        dataclasses.replace(rule, name="c", tag_pattern="2.*"),
        dataclasses.replace(rule, name="d", trigger=Trigger.MANUAL),
        dataclasses.replace(rule, name="e", scope=Scope.REPO, repo_names=("web",)),
        dataclasses.replace(rule, name="f", target_ids=()),
    ):
        await bench.rules.create_rule("lab", other)
    task = await bench.api.create_fix(WANTED)
    await bench.api.cancel_fix(task.task_id)
    [event] = await bench.events()
    assert (list(event.rule_ids), list(event.rule_target_ids)) == ([covers.rule_id], ["tgt-1"])
    assert (event.state, event.reason) == (event.STATE_FAILED, "CANCELLED")


async def test_tasks_are_listed_newest_first_in_pages(bench: FixerBench) -> None:
    made = [(await bench.api.create_fix(dataclasses.replace(WANTED, tag=f"{n}"))).task_id for n in range(5)]
    first = await bench.api.list_fixes(FixFilter(instance="lab"), page_size=3)
    rest = await bench.api.list_fixes(FixFilter(instance="lab"), page_size=3, page_token=first.next_token)
    assert [task.task_id for task in (*first.items, *rest.items)] == made[::-1]
    assert rest.next_token == ""
    await bench.api.cancel_fix(made[0])
    for wanted, expected in (
        (FixFilter(state=FixState.FAILED), made[:1]),
        (FixFilter(tag="3"), made[3:4]),
        (FixFilter(repository="team/app", tag="2"), made[2:3]),
        (FixFilter(repository="team/web"), []),
        (FixFilter(namespaces=("others",)), []),
    ):
        assert [task.task_id for task in (await bench.api.list_fixes(wanted)).items] == expected
    with pytest.raises(ServiceError) as caught:
        await bench.api.list_fixes(FixFilter(), page_token=first.next_token)
    assert caught.value.reason == "INVALID_PAGE_TOKEN"


async def test_a_task_that_there_is_not_is_not_found(bench: FixerBench) -> None:
    for call in (bench.api.get_fix, bench.api.cancel_fix, bench.api.revert_fix):
        for task_id in (str(uuid.uuid4()), "nonsense\0"):
            with pytest.raises(ServiceError) as caught:
                await call(task_id)
            assert caught.value.reason == "FIX_TASK_NOT_EXIST"


async def test_a_preview_tells_what_goes_where_and_what_stays_and_saves_nothing(bench: FixerBench) -> None:
    preview = await bench.api.preview_fix(WANTED)
    [platform] = preview.platforms
    [package] = platform.packages
    assert (preview.fixed_tag, platform.platform, package.name) == ("1.0_fixd", "linux/amd64", "openssl")
    assert (package.from_version, package.to_version, package.findings) == ("1.0", "1.1", ("CVE-2024-0001",))
    assert [(each.verdict, each.reason) for each in platform.findings] == [
        (Verdict.FIXED, ""),
        (Verdict.NOT_FIXABLE, "NO_FIXED_VERSION"),
    ]
    assert await bench.pool.fetchval("SELECT count(*) FROM fixer.task") == 0


async def test_what_would_end_the_fix_ends_its_preview(bench: FixerBench) -> None:
    bench.work.preview_failure = FixFailure(FixReason.END_OF_LIFE, "It gets no updates any more.")
    with pytest.raises(FixFailure) as caught:
        await bench.api.preview_fix(WANTED)
    assert caught.value.why is FixReason.END_OF_LIFE


async def test_old_tasks_go_and_those_under_way_stay(bench: FixerBench) -> None:
    old = await bench.api.create_fix(WANTED)
    await bench.work_once()
    await bench.pool.execute("UPDATE fixer.task SET settled_at = settled_at - interval '91 days'")
    young = await bench.api.create_fix(WANTED)
    retention = Retention(
        "fixer",
        agings(bench.settings),
        pool=bench.pool,
        clock=SystemClock(),
        batch=10,
        registry=CollectorRegistry(),
    )
    assert await retention.clean(asyncio.Event()) == 1
    assert [task.task_id for task in (await bench.api.list_fixes()).items] == [young.task_id] != [old.task_id]
