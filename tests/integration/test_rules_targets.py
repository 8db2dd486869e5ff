"""Rules name targets that exist, and say so when nobody can tell."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import asyncpg
import pytest

from services.kernel.db import unavailable
from services.kernel.errors import Kind, ServiceError
from services.rules.api import ScanRule
from tests.builders.rules import RulesBench, new_instance, new_rule, rules_bench

Save = Callable[[RulesBench, tuple[str, ...]], Awaitable[ScanRule]]


async def create(bench: RulesBench, targets: tuple[str, ...]) -> ScanRule:
    return await bench.api.create_rule("prod", new_rule("new", target_ids=targets))


async def update(bench: RulesBench, targets: tuple[str, ...]) -> ScanRule:
    (rule,) = (await bench.api.list_rules("prod")).items
    return await bench.api.update_rule(rule.rule_id, new_rule("every push", target_ids=targets))


async def failure_of(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


@pytest.mark.parametrize("save", [create, update])
async def test_a_target_that_does_not_exist_is_refused_by_name(database: str, save: Save) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        before = (await bench.api.list_rules("prod")).items

        error = await failure_of(save(bench, ("tgt-a", "tgt-none")))

        assert (error.kind, error.reason, error.field) == (
            Kind.INVALID_ARGUMENT,
            "TARGET_NOT_EXIST",
            "target_ids",
        )
        assert "tgt-none" in error.message
        assert (await bench.api.list_rules("prod")).items == before
        assert (await save(bench, ("tgt-b", "tgt-a"))).target_ids == ("tgt-a", "tgt-b")


@pytest.mark.parametrize("save", [create, update])
@pytest.mark.parametrize(
    "failure",
    [
        ServiceError(Kind.UNAVAILABLE, "SERVER_UNAVAILABLE", "The server cannot be reached."),
        ServiceError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "Too late."),
        unavailable(),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        None,
    ],
)
async def test_a_silent_notifier_is_no_consent(database: str, save: Save, failure: Exception | None) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        before = (await bench.api.list_rules("prod")).items
        bench.notifier.failure, bench.notifier.hanging = failure, failure is None

        error = await failure_of(save(bench, ("tgt-a",)))

        assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "NOTIFIER_UNAVAILABLE")
        assert error.retry_after
        assert (await bench.api.list_rules("prod")).items == before


async def test_rules_without_targets_do_not_need_the_notifier(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        bench.notifier.hanging = True
        rule = await bench.api.create_rule("prod", new_rule())
        assert (await bench.api.update_rule(rule.rule_id, new_rule("renamed"))).name == "renamed"
        assert bench.notifier.checked == []


async def test_an_update_may_keep_a_target_that_was_deleted_since(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        rule = await bench.api.create_rule("prod", new_rule(target_ids=("tgt-a",)))
        await bench.notifier.delete_target("a")

        kept = await bench.api.update_rule(rule.rule_id, new_rule("renamed", target_ids=("tgt-a",)))
        refused = await failure_of(bench.api.create_rule("prod", new_rule("other", target_ids=("tgt-a",))))

        assert (kept.name, kept.target_ids) == ("renamed", ("tgt-a",))
        assert refused.reason == "TARGET_NOT_EXIST"


async def test_a_rule_of_an_unknown_instance_is_refused_for_that(database: str) -> None:
    async with rules_bench(database) as bench:
        error = await failure_of(bench.api.create_rule("none", new_rule(target_ids=("tgt-none",))))
        assert error.reason == "INSTANCE_NOT_EXIST"
