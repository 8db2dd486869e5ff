"""What rules promises, kept by the application in process and by its client across the network."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.engine import Engine
from services.rules.api import Edition, InstanceChange, NewScanRule, RulesApi, RunState, ScanType, Scope, Trigger
from services.rules.client import RulesClient
from services.rules.engines.api import Part, Region
from services.rules.servicer import inner_services
from tests.builders.edge import real_rules
from tests.builders.engines import OURS, a_part, a_report
from tests.builders.peers import inner_door, peer_at
from tests.builders.rules import new_instance, new_rule
from tests.databases import migrated_pool


@pytest.fixture(params=["application", "client"])
async def api(request: pytest.FixtureRequest, database: str) -> AsyncIterator[RulesApi]:
    async with migrated_pool(database, ("rules", "services.rules")) as pool:
        application = real_rules(pool, SystemClock())
        if request.param == "application":
            yield application
            return
        async with inner_door(inner_services(application)) as door, peer_at(door.address) as peer:
            yield RulesClient(peer)


async def refusal(call: Any) -> tuple[Kind, str, str]:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value.kind, caught.value.reason, caught.value.field


async def test_an_instance_is_kept_with_everything_that_was_said(api: RulesApi) -> None:
    new = new_instance(
        address="registry.example:5000",
        private_address="10.0.0.1:5000",
        edition=Edition.ENTERPRISE,
        region="eu",
        plain_http=True,
        username="robot",
        password="pässword",
        engine=Engine.SECURITY_CENTER,
    )
    made = await api.create_instance(new)
    assert (made.name, made.address, made.private_address) == ("prod", new.address, new.private_address)
    assert (made.region, made.plain_http, made.username, made.engine) == ("eu", True, "robot", new.engine)
    assert made.created_at.tzinfo is not None
    assert await api.get_instance("prod") == await api.get_instance(made.instance_id) == made
    assert [rule.name for rule in (await api.list_rules("prod")).items] == ["every push"]


async def test_targets_that_do_not_exist_are_refused(api: RulesApi) -> None:
    await api.check_targets(["tgt-1"])
    refused = (Kind.INVALID_ARGUMENT, "TARGET_NOT_EXIST", "target_ids")
    assert await refusal(api.check_targets(["tgt-1", "tgt-2"])) == refused


async def test_an_instance_without_its_default_rule_has_none(api: RulesApi) -> None:
    await api.create_instance(new_instance(default_rule=False))
    assert (await api.list_rules("prod")).items == ()


async def test_credentials_are_read_when_they_are_needed(api: RulesApi) -> None:
    made = await api.create_instance(new_instance(private_address="10.0.0.1", username="u", password="geheim"))
    access = await api.registry_access(made.instance_id)
    assert (access.address, access.username, access.plain_http) == ("10.0.0.1", "u", made.plain_http)
    assert access.password.get_secret_value() == "geheim"
    assert "geheim" not in repr(access)
    await api.update_instance("prod", InstanceChange(password="neu"))
    assert (await api.registry_access("prod")).password.get_secret_value() == "neu"


async def test_a_change_leaves_alone_what_it_does_not_name(api: RulesApi) -> None:
    made = await api.create_instance(new_instance(region="eu", username="u", password="p"))
    changed = await api.update_instance(made.instance_id, InstanceChange(region="", name="next"))
    assert (changed.region, changed.name, changed.username, changed.address) == ("", "next", "u", made.address)
    unchanged = await api.update_instance("next", InstanceChange())
    assert (unchanged.name, unchanged.region, unchanged.username) == ("next", "", "u")
    personal = await api.update_instance("next", InstanceChange(edition=Edition.PERSONAL))
    assert personal.edition is Edition.PERSONAL
    assert (await refusal(api.registry_access("next")))[1] == "EDITION_NOT_SUPPORTED"


async def test_instances_are_listed_page_by_page(api: RulesApi) -> None:
    for name in ("c", "a", "b"):
        await api.create_instance(new_instance(name, region="eu" if name != "c" else "us"))
    first = await api.list_instances(page_size=2)
    second = await api.list_instances(page_size=2, page_token=first.next_token)
    assert [instance.name for instance in (*first.items, *second.items)] == ["a", "b", "c"]
    assert second.next_token == ""
    assert [instance.name for instance in (await api.list_instances(region="us")).items] == ["c"]


async def test_a_repository_is_the_same_however_it_is_asked_for(api: RulesApi) -> None:
    made = await api.create_instance(new_instance())
    assert (await refusal(api.find_repository("prod", "team", "app")))[:2] == (Kind.NOT_FOUND, "REPO_NOT_EXIST")
    seen = await api.see_repository("prod", "team", "app")
    assert (seen.instance_id, seen.namespace, seen.name) == (made.instance_id, "team", "app")
    assert await api.see_repository("prod", "team", "app") == seen
    assert await api.find_repository(made.instance_id, "team", "app") == seen
    assert await api.get_repository("prod", seen.repo_id) == seen
    await api.see_repository("prod", "other", "app")
    page = await api.list_repositories("prod", page_size=1)
    rest = await api.list_repositories("prod", page_size=1, page_token=page.next_token)
    assert [one.namespace for one in (*page.items, *rest.items)] == ["other", "team"]
    assert (await api.list_repositories("prod", namespace="team")).items == (seen,)


async def test_a_rule_is_kept_replaced_and_deleted(api: RulesApi) -> None:
    made = await api.create_instance(new_instance(default_rule=False))
    new = NewScanRule(
        name="sbom",
        scope=Scope.REPO,
        tag_pattern="v.*",
        namespaces=("team",),
        repo_names=("app", "web"),
        trigger=Trigger.MANUAL,
        scan_type=ScanType.SBOM,
    )
    rule = await api.create_rule("prod", new)
    assert rule.instance_id == made.instance_id
    assert await api.get_rule(rule.rule_id) == rule
    for field in ("name", "scope", "tag_pattern", "namespaces", "repo_names", "trigger", "scan_type"):
        assert getattr(rule, field) == getattr(new, field)
    wider = NewScanRule(name="all", scope=Scope.INSTANCE, tag_pattern=".*", scan_type=ScanType.SBOM)
    changed = await api.update_rule(rule.rule_id, wider)
    assert (changed.rule_id, changed.scope, changed.namespaces) == (rule.rule_id, Scope.INSTANCE, ())
    await api.delete_rule(rule.rule_id)
    assert (await refusal(api.get_rule(rule.rule_id)))[1] == "SCAN_RULE_NOT_EXIST"


async def test_rules_are_listed_with_their_number(api: RulesApi) -> None:
    await api.create_instance(new_instance(default_rule=False))
    for number in range(3):
        await api.create_rule("prod", new_rule(f"r{number}", scan_type=ScanType.VUL if number else ScanType.SBOM))
    page = await api.list_rules("prod", page_size=2)
    rest = await api.list_rules("prod", page_size=2, page_token=page.next_token)
    assert [rule.name for rule in (*page.items, *rest.items)] == ["r0", "r1", "r2"]
    assert (page.total, rest.total) == (3, 3)
    assert [rule.name for rule in (await api.list_rules("prod", scan_type=ScanType.SBOM)).items] == ["r0"]


async def test_an_instance_goes_with_all_that_is_its_own(api: RulesApi) -> None:
    await api.create_instance(new_instance())
    await api.delete_instance("prod")
    assert (await refusal(api.delete_instance("prod")))[1] == "INSTANCE_NOT_EXIST"
    assert (await refusal(api.list_rules("prod")))[1] == "INSTANCE_NOT_EXIST"


async def test_refusals_keep_kind_reason_and_field(api: RulesApi) -> None:
    await api.create_instance(new_instance())
    vul = await api.create_rule("prod", new_rule())
    sbom = new_rule("releases", scan_type=ScanType.SBOM)
    moved = InstanceChange(address="elsewhere.example", username="u")
    calls = [
        (api.create_instance(new_instance()), Kind.ALREADY_EXISTS),
        (api.create_instance(new_instance("x", engine=Engine.TRIVY)), Kind.FAILED_PRECONDITION),
        (api.create_instance(new_instance("NO")), Kind.INVALID_ARGUMENT),
        (api.update_instance("none", moved), Kind.NOT_FOUND),
        (api.create_rule("prod", new_rule()), Kind.ALREADY_EXISTS),
        (api.create_rule("prod", new_rule("y", tag_pattern="(")), Kind.INVALID_ARGUMENT),
        (api.update_rule(vul.rule_id, sbom), Kind.INVALID_ARGUMENT),
        (api.get_repository("prod", "crr-none"), Kind.NOT_FOUND),
        (api.see_repository("prod", "team", "A b"), Kind.INVALID_ARGUMENT),
        (api.list_instances(page_size=-1), Kind.INVALID_ARGUMENT),
        (api.list_instances(page_token="junk"), Kind.INVALID_ARGUMENT),
    ]
    for call, kind in calls:
        found, reason, field = await refusal(call)
        assert found is kind, reason
        assert field or kind is not Kind.INVALID_ARGUMENT, reason


def test_the_client_has_every_method_of_the_interface() -> None:
    for name, method in inspect.getmembers(RulesApi, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.signature(getattr(RulesClient, name)) == inspect.signature(method), name


def test_every_message_that_holds_a_password_hides_it_in_texts() -> None:
    source = (Path(__file__).parents[2] / "protos/drydock/rules/v1").glob("*.proto")
    lines = [line for file in source for line in file.read_text().splitlines() if " password = " in line]
    assert len(lines) == 3
    assert all("debug_redact = true" in line for line in lines)


async def test_engines_of_an_instance_are_listed_activated_and_switched(api: RulesApi) -> None:
    await api.report_scanner(a_report(*OURS, a_part(Part.TRIVY)))
    made = await api.create_instance(new_instance(engine=Engine.TRIVY), actor="ana")
    listed = await api.list_engines("prod")
    assert [(one.engine, one.in_use, one.active) for one in listed] == [
        (Engine.TRIVY, True, False),
        (Engine.SECURITY_CENTER, False, False),
    ]
    refused = (Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY", "engine")
    assert await refusal(api.switch_engine("prod", Engine.SECURITY_CENTER)) == refused
    assert await refusal(api.check_engine("prod", Engine.SECURITY_CENTER)) == refused
    given = await api.activate_engine("prod", Engine.SECURITY_CENTER, authorize=True, actor="bob müller")
    assert (given.active, given.authorized_by) == (True, "bob müller")
    await api.check_engine("prod", Engine.SECURITY_CENTER)
    switched = await api.switch_engine("prod", Engine.SECURITY_CENTER, actor="bob")
    assert switched == await api.engine_status(made.instance_id)
    assert (await api.get_instance("prod")).engine is Engine.SECURITY_CENTER


async def test_regions_are_listed_by_name(api: RulesApi) -> None:
    for name, region in (("a", "us"), ("b", "eu"), ("c", "us")):
        await api.create_instance(new_instance(name, region=region))
    assert await api.list_regions() == (Region(name="eu", instances=1), Region(name="us", instances=2))


async def test_whoever_creates_an_instance_has_authorized_its_engine(api: RulesApi) -> None:
    await api.create_instance(new_instance(engine=Engine.SECURITY_CENTER), actor="ana")
    assert (await api.engine_status("prod")).authorized_by == "ana"


async def test_a_run_is_started_called_off_resumed_and_ended(api: RulesApi) -> None:
    await api.create_instance(new_instance())
    new = new_rule(scope=Scope.REPO, namespaces=("team",), repo_names=("app",), schedule="0 2 * * *")
    rule = await api.create_rule("prod", new)
    assert rule.next_run_at is not None
    run_id = "6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55"
    run = await api.run_rule(rule.rule_id, request_id=run_id)
    assert (run.run_id, run.rule_id, run.state, run.repositories) == (run_id, rule.rule_id, RunState.ASKING, 1)
    assert await api.run_rule(rule.rule_id, request_id=run_id) == await api.get_run(run_id) == run
    assert (await refusal(api.run_rule(rule.rule_id)))[:2] == (Kind.FAILED_PRECONDITION, "RUN_UNDER_WAY")
    cancelled = await api.cancel_run(run_id)
    assert (cancelled.state, cancelled.ended_at is not None) == (RunState.CANCELLED, True)
    assert (await api.resume_run(run_id)).ended_at is None
    await api.end_run(run_id)  # it is asking: nothing has ended
    assert (await api.get_run(run_id)).ended_at is None
    assert (await refusal(api.get_run("junk")))[:2] == (Kind.NOT_FOUND, "RUN_NOT_EXIST")
    assert (await refusal(api.preview_rule("crscnr-none")))[1] == "SCAN_RULE_NOT_EXIST"
