"""Schedules go with the last repository that their rule names, once the grace period is over, and not before."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.kernel.ids import RandomIds
from services.kernel.outbox import Outbox
from services.lab.faults import Status
from services.registry.catalog import open_catalog
from services.rules.api import Edition, InstanceChange, ScanRule, Scope
from services.rules.settings import RulesSettings
from services.rules.sync.metrics import End, WalkMetrics
from services.rules.sync.reconcile import Reconciler
from services.rules.sync.store import SyncStore
from tests.builders.rules import new_rule
from tests.builders.runs import GRACE_SECONDS, RunsBench, runs_bench
from tests.builders.runs_application import SOURCE

NIGHTLY = "0 2 * * *"
UNKNOWN = Status(code=404, body=b'{"errors":[{"code":"NAME_UNKNOWN"}]}')


@pytest.fixture
async def bench(database: str) -> AsyncIterator[RunsBench]:
    async with runs_bench(database) as made:
        for repository in ("team/app", "team/other"):
            await made.push(repository, "v1")
        await made.rules.api.set_sync("prod", on=True)
        assert await walk(made) is End.COMPLETE
        yield made


async def walk(bench: RunsBench) -> End:
    await bench.rules.api.sync_now("prod")
    reconciler = Reconciler(
        pool=bench.rules.pool,
        store=bench.rules.store,
        sync=SyncStore(),
        outbox=Outbox("rules"),
        access=bench.rules.api.registry_access,
        open_catalog=partial(open_catalog, SOURCE),
        clock=bench.clock,
        ids=RandomIds(),
        metrics=WalkMetrics(CollectorRegistry()),
        settings=RulesSettings(sync_requests_per_second=10_000),
    )
    [claimed] = await reconciler.claim(1)
    return await reconciler.reconcile(claimed, asyncio.Event())


async def delete(bench: RunsBench, repository: str) -> None:
    bench.lab.faults.add(f"/v2/{repository}/*", UNKNOWN)
    assert await walk(bench) is End.COMPLETE


async def a_rule(bench: RunsBench, name: str = "nightly", **fields: Any) -> ScanRule:
    named = {"scope": Scope.REPO, "namespaces": ("team",), "repo_names": ("app",), "schedule": NIGHTLY} | fields
    return await bench.rules.api.create_rule("prod", new_rule(name, **named))


async def after(bench: RunsBench, seconds: float, rule: ScanRule) -> ScanRule:
    bench.clock.advance(seconds)
    await bench.timetable().look()
    return await bench.rules.api.get_rule(rule.rule_id)


async def test_a_schedule_goes_with_the_repository_after_the_grace_period_and_its_rule_stays(
    bench: RunsBench,
) -> None:
    rule = await a_rule(bench)
    await delete(bench, "team/app")
    kept = await after(bench, GRACE_SECONDS - 1, rule)
    assert (kept.schedule, kept.next_run_at is None) == (NIGHTLY, False)
    ended = await after(bench, 1, rule)
    assert (ended.schedule, ended.next_run_at, ended.name) == ("", None, "nightly")
    assert "its schedule went" in ended.skipped


async def test_a_rule_that_names_a_repository_that_is_left_keeps_its_schedule(bench: RunsBench) -> None:
    rule = await a_rule(bench, repo_names=("app", "other"))
    wide = await a_rule(bench, "wide", scope=Scope.NAMESPACE, repo_names=())
    await delete(bench, "team/app")
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == NIGHTLY
    await delete(bench, "team/other")
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == ""
    assert (await bench.rules.api.get_rule(wide.rule_id)).schedule == NIGHTLY


async def test_a_repository_that_comes_back_in_time_keeps_the_schedule(bench: RunsBench) -> None:
    rule = await a_rule(bench)
    await delete(bench, "team/app")
    bench.lab.faults.clear()
    assert await walk(bench) is End.COMPLETE
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == NIGHTLY
    await delete(bench, "team/app")  # the grace period begins anew
    assert (await after(bench, GRACE_SECONDS - 1, rule)).schedule == NIGHTLY


async def test_a_schedule_for_a_repository_that_was_never_there_stays(bench: RunsBench) -> None:
    rule = await a_rule(bench, repo_names=("soon",))
    await delete(bench, "team/app")
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == NIGHTLY


async def test_a_schedule_that_somebody_gives_a_rule_afterwards_stays(bench: RunsBench) -> None:
    rule = await a_rule(bench)
    await delete(bench, "team/app")
    await bench.rules.api.update_rule(
        rule.rule_id,
        new_rule("nightly", scope=Scope.REPO, namespaces=("team",), repo_names=("app",), schedule="0 3 * * *"),
    )
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == "0 3 * * *"


@pytest.mark.parametrize("personal", [False, True])
async def test_nothing_goes_of_an_instance_that_is_not_synced_now(bench: RunsBench, personal: bool) -> None:
    rule = await a_rule(bench)
    await delete(bench, "team/app")
    if personal:
        await bench.rules.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))
    else:
        await bench.rules.api.set_sync("prod", on=False)
    assert (await after(bench, GRACE_SECONDS, rule)).schedule == NIGHTLY


async def test_rules_and_schedules_of_a_deleted_instance_go_with_it(bench: RunsBench) -> None:
    await a_rule(bench)
    await bench.rules.api.delete_instance("prod")
    assert await bench.rules.pool.fetchval("SELECT count(*) FROM rules.scan_rule") == 0
