"""Instances, repositories and rules on a real database."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.rules.api import Edition, InstanceChange, NewScanRule, ScanType, Scope, Trigger
from tests.builders.rules import new_instance, new_rule, rules_bench
from tests.fakes.clock import ManualClock


async def test_a_new_instance_gets_the_rule_every_push(database: str) -> None:
    async with rules_bench(database) as bench:
        instance = await bench.api.create_instance(new_instance())
        page = await bench.api.list_rules("prod")
        assert instance.instance_id.startswith("cri-")
        assert instance.engine is Engine.SECURITY_CENTER
        (rule,) = page.items
        assert (rule.name, rule.scope, rule.trigger, rule.tag_pattern) == (
            "every push",
            Scope.INSTANCE,
            Trigger.AUTO,
            ".*",
        )
        assert rule.rule_id.startswith("crscnr-")


async def test_a_new_instance_has_no_rule_when_told_so(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance(default_rule=False))
        assert (await bench.api.list_rules("prod")).total == 0


async def test_a_taken_name_and_an_unready_engine_are_refused(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        with pytest.raises(ServiceError) as caught:
            await bench.api.create_instance(new_instance())
        assert (caught.value.kind, caught.value.reason) == (Kind.ALREADY_EXISTS, "INSTANCE_ALREADY_EXIST")
        with pytest.raises(ServiceError) as caught:
            await bench.api.create_instance(new_instance("other", engine=Engine.TRIVY))
        assert (caught.value.kind, caught.value.reason) == (Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY")
        assert [i.name for i in (await bench.api.list_instances()).items] == ["prod"]


async def test_an_instance_is_found_by_id_and_by_name_and_nothing_else(database: str) -> None:
    async with rules_bench(database) as bench:
        made = await bench.api.create_instance(new_instance())
        assert await bench.api.get_instance("prod") == made
        assert await bench.api.get_instance(made.instance_id) == made
        for strange in ("", "Prod", "pro", "prod\0", "x" * 10_000):
            with pytest.raises(ServiceError) as caught:
                await bench.api.get_instance(strange)
            assert caught.value.reason == "INSTANCE_NOT_EXIST"


async def test_a_password_is_sealed_at_rest_and_open_in_registry_access(database: str) -> None:
    async with rules_bench(database) as bench:
        made = await bench.api.create_instance(
            new_instance(username="puller", password="hunter2", private_address="10.0.0.1:5000", plain_http=True)
        )
        row = await bench.pool.fetchval("SELECT sealed_password FROM rules.instance")
        assert b"hunter2" not in row
        access = await bench.api.registry_access(made.instance_id)
        assert (access.address, access.plain_http, access.username) == ("10.0.0.1:5000", True, "puller")
        assert access.password.get_secret_value() == "hunter2"
        assert "hunter2" not in repr(access)


async def test_a_sealed_password_moved_to_another_instance_cannot_be_read(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance("a", username="u", password="hunter2"))
        await bench.api.create_instance(new_instance("b", username="u", password="other"))
        await bench.pool.execute(
            "UPDATE rules.instance SET sealed_password = "
            "(SELECT sealed_password FROM rules.instance WHERE name = 'a') WHERE name = 'b'"
        )
        with pytest.raises(ServiceError) as caught:
            await bench.api.registry_access("b")
        assert caught.value.reason == "SECRET_UNREADABLE"


async def test_a_personal_instance_is_saved_but_gives_no_access(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance(edition=Edition.PERSONAL))
        with pytest.raises(ServiceError) as caught:
            await bench.api.registry_access("prod")
        assert (caught.value.kind, caught.value.reason) == (Kind.FAILED_PRECONDITION, "EDITION_NOT_SUPPORTED")


async def test_a_personal_instance_gets_no_rule_and_is_refused_every_one(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance(edition=Edition.PERSONAL))
        assert (await bench.api.list_rules("prod")).total == 0
        with pytest.raises(ServiceError) as caught:
            await bench.api.create_rule("prod", new_rule())
        assert (caught.value.kind, caught.value.reason) == (Kind.FAILED_PRECONDITION, "EDITION_NOT_SUPPORTED")


async def test_an_instance_made_personal_keeps_its_rules_but_none_is_changed(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        (rule,) = (await bench.api.list_rules("prod")).items
        await bench.api.update_instance("prod", InstanceChange(edition=Edition.PERSONAL))
        assert (await bench.api.list_rules("prod")).items == (rule,)
        assert await bench.api.get_rule(rule.rule_id) == rule
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_rule(rule.rule_id, new_rule("renamed"))
        assert caught.value.reason == "EDITION_NOT_SUPPORTED"
        await bench.api.delete_rule(rule.rule_id)
        assert (await bench.api.list_rules("prod")).total == 0


async def test_an_update_changes_what_it_names_and_keeps_the_password(database: str) -> None:
    clock = ManualClock()
    async with rules_bench(database, clock=clock) as bench:
        made = await bench.api.create_instance(new_instance(username="u", password="p", region="eu"))
        clock.advance(5)
        changed = await bench.api.update_instance(
            "prod", InstanceChange(name="live", edition=Edition.ENTERPRISE, plain_http=False)
        )
        assert (changed.name, changed.region, changed.plain_http) == ("live", "eu", False)
        assert changed.updated_at > made.updated_at == made.created_at
        assert await bench.api.get_instance("live") == changed
        access = await bench.api.registry_access("live")
        assert (access.username, access.password.get_secret_value()) == ("u", "p")


@pytest.mark.parametrize(
    "move",
    [
        InstanceChange(address="elsewhere.example"),
        InstanceChange(private_address="10.0.0.9:5000"),
        InstanceChange(plain_http=True),
        InstanceChange(address="elsewhere.example", username="other"),
    ],
)
async def test_a_saved_password_is_never_sent_elsewhere(database: str, move: InstanceChange) -> None:
    async with rules_bench(database) as bench:
        made = await bench.api.create_instance(new_instance(username="u", password="p"))
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_instance("prod", move)
        refused = caught.value
        assert (refused.kind, refused.reason, refused.field) == (
            Kind.INVALID_ARGUMENT,
            "PASSWORD_NEEDED",
            "password",
        )
        assert await bench.api.get_instance("prod") == made

        await bench.api.update_instance("prod", dataclasses.replace(move, password="p2"))
        access = await bench.api.registry_access("prod")
        assert access.password.get_secret_value() == "p2"


async def test_an_instance_moves_freely_without_a_password_and_with_its_user_taken_away(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance("open"))
        await bench.api.create_instance(new_instance("closed", username="u", password="p"))
        moved = await bench.api.update_instance("open", InstanceChange(address="h:1", plain_http=True))
        assert (moved.address, moved.plain_http) == ("h:1", True)
        moved = await bench.api.update_instance("closed", InstanceChange(address="h:2", username=""))
        assert (moved.address, moved.username) == ("h:2", "")


async def test_taking_the_user_away_takes_the_password_away(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance(username="u", password="p"))
        await bench.api.update_instance("prod", InstanceChange(username=""))
        assert await bench.pool.fetchval("SELECT sealed_password FROM rules.instance") == b""
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_instance("prod", InstanceChange(password="p"))
        assert caught.value.reason == "INVALID_CREDENTIALS"


async def test_an_instance_cannot_take_the_name_of_another(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance("a"))
        await bench.api.create_instance(new_instance("b"))
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_instance("b", InstanceChange(name="a"))
        assert caught.value.reason == "INSTANCE_ALREADY_EXIST"


async def test_a_deleted_instance_takes_its_repositories_and_rules_with_it(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        await bench.api.see_repository("prod", "team", "app")
        (rule,) = (await bench.api.list_rules("prod")).items
        await bench.api.delete_instance("prod")
        with pytest.raises(ServiceError) as caught:
            await bench.api.delete_instance("prod")
        assert caught.value.reason == "INSTANCE_NOT_EXIST"
        with pytest.raises(ServiceError) as caught:
            await bench.api.get_rule(rule.rule_id)
        assert caught.value.reason == "SCAN_RULE_NOT_EXIST"
        assert await bench.pool.fetchval("SELECT count(*) FROM rules.repository") == 0


async def test_a_repository_has_one_id_however_many_see_it_first(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        seen = await asyncio.gather(*(bench.api.see_repository("prod", "team", "app") for _ in range(20)))
        assert len({repository.repo_id for repository in seen}) == 1
        assert await bench.api.find_repository("prod", "team", "app") == seen[0]
        assert await bench.api.get_repository("prod", seen[0].repo_id) == seen[0]


async def test_a_repository_that_nobody_saw_does_not_exist(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance("a"))
        await bench.api.create_instance(new_instance("b"))
        of_a = await bench.api.see_repository("a", "_", "app")
        for call in (
            bench.api.find_repository("b", "_", "app"),
            bench.api.get_repository("b", of_a.repo_id),
            bench.api.get_repository("a", "crr-\0"),
        ):
            with pytest.raises(ServiceError) as caught:
                await call
            assert caught.value.reason == "REPO_NOT_EXIST"


async def test_lists_come_in_pages_in_order(database: str) -> None:
    async with rules_bench(database) as bench:
        for name in ("c", "a", "b-1", "b_1", "b.1"):
            await bench.api.create_instance(new_instance(name, region="eu"))
        names, token = [], ""
        while True:
            page = await bench.api.list_instances(region="eu", page_size=2, page_token=token)
            names += [instance.name for instance in page.items]
            token = page.next_token
            if not token:
                break
        assert names == sorted(names)
        assert len(names) == 5
        assert (await bench.api.list_instances(region="us")).items == ()


async def test_repositories_are_listed_by_namespace_and_name(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        for namespace, name in (("b", "x"), ("a", "z"), ("a", "y"), ("_", "q")):
            await bench.api.see_repository("prod", namespace, name)
        first = await bench.api.list_repositories("prod", page_size=3)
        rest = await bench.api.list_repositories("prod", page_size=3, page_token=first.next_token)
        paths = [(r.namespace, r.name) for r in (*first.items, *rest.items)]
        assert paths == [("_", "q"), ("a", "y"), ("a", "z"), ("b", "x")]
        assert [r.name for r in (await bench.api.list_repositories("prod", namespace="a")).items] == ["y", "z"]


async def test_a_token_of_another_list_is_refused(database: str) -> None:
    async with rules_bench(database) as bench:
        for name in ("a", "b"):
            await bench.api.create_instance(new_instance(name))
        token = (await bench.api.list_instances(page_size=1)).next_token
        for call in (
            bench.api.list_instances(region="eu", page_token=token),
            bench.api.list_rules("a", page_token=token),
            bench.api.list_instances(page_token="!!"),
        ):
            with pytest.raises(ServiceError) as caught:
                await call
            assert caught.value.reason == "INVALID_PAGE_TOKEN"


async def test_rules_are_listed_oldest_first_with_their_total(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance(default_rule=False))
        made = [await bench.api.create_rule("prod", new_rule(f"r{n}")) for n in range(5)]
        sbom = await bench.api.create_rule("prod", new_rule("sbom", scan_type=ScanType.SBOM))
        first = await bench.api.list_rules("prod", scan_type=ScanType.VUL, page_size=3)
        rest = await bench.api.list_rules("prod", scan_type=ScanType.VUL, page_size=3, page_token=first.next_token)
        assert first.total == rest.total == 5
        # All made in one moment of the manual clock: the id decides.
        assert [rule.rule_id for rule in (*first.items, *rest.items)] == sorted(rule.rule_id for rule in made)
        assert (await bench.api.list_rules("prod")).total == 6
        assert (await bench.api.list_rules("prod", scan_type=ScanType.SBOM)).items == (sbom,)


async def test_two_rules_of_one_name_are_refused(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        await bench.api.create_rule("prod", new_rule("a"))
        other = await bench.api.create_rule("prod", new_rule("b"))
        for call in (
            bench.api.create_rule("prod", new_rule("a")),
            bench.api.update_rule(other.rule_id, new_rule("a")),
        ):
            with pytest.raises(ServiceError) as caught:
                await call
            assert (caught.value.kind, caught.value.reason) == (
                Kind.ALREADY_EXISTS,
                "SCAN_RULE_ALREADY_EXIST",
            )


async def test_an_update_replaces_all_of_a_rule_but_its_scan_type(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        rule = await bench.api.create_rule("prod", new_rule(target_ids=("tgt-1",)))
        wanted = NewScanRule(
            name="other",
            scope=Scope.REPO,
            tag_pattern="v.*",
            namespaces=("team",),
            repo_names=("app", "web"),
            trigger=Trigger.MANUAL,
        )
        changed = await bench.api.update_rule(rule.rule_id, wanted)
        assert (changed.name, changed.repo_names, changed.target_ids) == ("other", ("app", "web"), ())
        assert await bench.api.get_rule(rule.rule_id) == changed
        with pytest.raises(ServiceError) as caught:
            await bench.api.update_rule(rule.rule_id, new_rule(scan_type=ScanType.SBOM))
        assert caught.value.reason == "SCAN_TYPE_IMMUTABLE"


async def test_a_deleted_rule_is_gone(database: str) -> None:
    async with rules_bench(database) as bench:
        await bench.api.create_instance(new_instance())
        rule = await bench.api.create_rule("prod", new_rule())
        await bench.api.delete_rule(rule.rule_id)
        for call in (bench.api.delete_rule(rule.rule_id), bench.api.get_rule("nonsense\0")):
            with pytest.raises(ServiceError) as caught:
                await call
            assert caught.value.reason == "SCAN_RULE_NOT_EXIST"


async def test_an_instance_has_a_bounded_number_of_rules(database: str) -> None:
    async with rules_bench(database, max_rules=2) as bench:
        await bench.api.create_instance(new_instance())
        await bench.api.create_rule("prod", new_rule("a"))
        with pytest.raises(ServiceError) as caught:
            await bench.api.create_rule("prod", new_rule("b"))
        assert (caught.value.kind, caught.value.reason) == (Kind.RESOURCE_EXHAUSTED, "TOO_MANY_SCAN_RULES")
