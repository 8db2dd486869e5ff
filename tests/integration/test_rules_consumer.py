"""From image events to scan requests, on a real database."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.kernel.errors import ServiceError
from services.rules.api import Edition, InstanceChange, Scope, Trigger
from services.rules.metrics import Fate
from services.rules.retention import agings
from services.rules.settings import RulesSettings
from tests.builders.retention import retention_of
from tests.builders.rules import deletion_of_a_tag, image_event, new_instance, new_rule, record, rules_bench
from tests.fakes.clock import ManualClock


async def test_a_push_becomes_one_request_with_all_rules_and_targets_that_asked(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance(default_rule=False))
        first = await bench.api.create_rule("prod", new_rule("a", target_ids=("tgt-b", "tgt-a")))
        second = await bench.api.create_rule(
            "prod",
            new_rule("b", scope=Scope.NAMESPACE, namespaces=("team",), target_ids=("tgt-c", "tgt-a")),
        )
        await bench.api.create_rule("prod", new_rule("c", tag_pattern="v.*"))
        await bench.api.create_rule("prod", new_rule("d", trigger=Trigger.MANUAL))
        await bench.handle([image_event(instance.instance_id, tag="1.0")])
        (request,) = await bench.requests()
        repository = await bench.api.find_repository("prod", "team", "app")
        assert request.rule_ids == tuple(sorted((first.rule_id, second.rule_id)))
        assert request.target_ids == ("tgt-a", "tgt-b", "tgt-c")
        assert (request.repo_id, request.tag) == (repository.repo_id, "1.0")
        assert request.engine is instance.engine


async def test_a_request_is_keyed_by_the_digest(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle([image_event(instance.instance_id)])
        (request,) = await bench.requests()
        assert await bench.pool.fetchval("SELECT key FROM rules.outbox") == request.digest.encode()


async def test_an_event_that_comes_again_asks_for_nothing_more(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        event = image_event(instance.instance_id)
        await bench.handle([event, event])
        await bench.handle([event])
        assert len(await bench.requests()) == 1
        assert bench.counted(Fate.REPEATED) == 2


async def test_an_event_handled_after_a_lost_memory_has_the_same_task(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        event = image_event(instance.instance_id)
        await bench.handle([event])
        await bench.pool.execute("DELETE FROM rules.seen_event")
        await bench.handle([event])
        first, second = await bench.requests()
        assert first.task_id == second.task_id


async def test_two_consumers_with_the_same_events_ask_once(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        events = [image_event(instance.instance_id, repository=f"app{n}") for n in range(50)]
        await asyncio.gather(bench.handle(events), bench.handle(list(reversed(events))))
        assert len(await bench.requests()) == 50


async def test_every_push_of_a_batch_keeps_its_order(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle([image_event(instance.instance_id, tag=f"t{n}") for n in range(20)])
        assert [request.tag for request in await bench.requests()] == [f"t{n}" for n in range(20)]


async def test_deletes_pulls_and_pushes_without_a_tag_ask_for_nothing(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle(
            [
                image_event(instance.instance_id, action="DELETE"),
                deletion_of_a_tag(instance.instance_id),
                image_event(instance.instance_id, action="PULL"),
                image_event(instance.instance_id, tag=""),
            ]
        )
        assert await bench.requests() == []
        assert bench.counted(Fate.NO_PUSH) == 4


async def test_what_a_registry_lists_asks_for_nothing(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle([image_event(instance.instance_id, action="LIST", tag="")])
        assert await bench.requests() == []


async def test_a_repaired_tag_is_scanned_like_any_other(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle([image_event(instance.instance_id, tag="1.0_fixd")])
        assert [request.tag for request in await bench.requests()] == ["1.0_fixd"]


async def test_events_of_unknown_and_personal_instances_are_passed_over_with_all_rules(
    database: str,
) -> None:
    async with rules_bench(database) as bench:
        personal = await bench.api.create_instance(new_instance())
        await bench.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))
        known = await bench.api.create_instance(new_instance("other"))
        await bench.handle(
            [
                image_event("cri-unknown"),
                image_event(personal.instance_id),
                image_event(known.instance_id),
            ]
        )
        assert [request.instance_id for request in await bench.requests()] == [known.instance_id]
        assert bench.counted(Fate.UNKNOWN_INSTANCE) == bench.counted(Fate.PERSONAL_INSTANCE) == 1
        await bench.api.update_instance("prod", InstanceChange(edition=Edition.ENTERPRISE))
        await bench.handle([image_event(personal.instance_id)])
        assert len(await bench.requests()) == 2


async def test_a_push_that_no_rule_meets_makes_its_repository_known(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance(default_rule=False))
        await bench.handle([image_event(instance.instance_id)])
        assert await bench.requests() == []
        found = await bench.api.find_repository("prod", "team", "app")
        assert found.repo_id.startswith("crr-")
        assert bench.counted(Fate.UNMATCHED) == 1


async def test_every_change_of_a_rule_counts_from_the_next_event_on(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance(default_rule=False))

        async def asked() -> int:
            await bench.pool.execute("DELETE FROM rules.outbox")
            await bench.handle([image_event(instance.instance_id, tag="v1")])
            return len(await bench.requests())

        assert await asked() == 0
        rule = await bench.api.create_rule("prod", new_rule())
        assert await asked() == 1
        await bench.api.update_rule(rule.rule_id, new_rule(tag_pattern="x"))
        assert await asked() == 0
        await bench.api.update_rule(rule.rule_id, new_rule())
        assert await asked() == 1
        await bench.api.delete_rule(rule.rule_id)
        assert await asked() == 0


@pytest.mark.parametrize(
    "value",
    [
        b"\xff\xff",
        b"",
        image_event("cri-1", event_id="no uuid").message.value,
        image_event("cri-1", tag="-bad").message.value,
        image_event("cri-1", digest="md5:1").message.value,
        image_event("cri-1", repository="Bad").message.value,
        image_event("CRI 1").message.value,
    ],
    ids=["garbage", "empty", "event id", "tag", "digest", "repository", "instance"],
)
async def test_an_event_that_cannot_be_read_is_refused_and_the_batch_is_not_taken(
    database: str, value: bytes
) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        with pytest.raises(ServiceError) as caught:
            await bench.handle([image_event(instance.instance_id), record(value)])
        assert caught.value.reason in ("BAD_EVENT", "INVALID_REFERENCE")
        assert await bench.requests() == []


async def test_events_are_forgotten_after_their_time(database: str) -> None:
    clock = ManualClock()
    async with rules_bench(database, clock=clock) as bench:
        instance = await bench.api.create_instance(new_instance())
        await bench.handle([image_event(instance.instance_id, event_id=str(uuid.uuid4())) for _ in range(5)])
        clock.advance(3 * 86_400)
        await bench.handle([image_event(instance.instance_id)])
        retention = retention_of("rules", agings(RulesSettings(seen_event_days=2)), bench.pool, clock, batch=2)
        assert await retention.clean(asyncio.Event()) == 5
        assert await bench.pool.fetchval("SELECT count(*) FROM rules.seen_event") == 1
