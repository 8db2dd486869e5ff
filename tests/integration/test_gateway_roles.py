"""Each role by each call, and keys with limits by each call, against the gateway as wired."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryStub
from drydock.fixer.v1 import fix_pb2, fixer_service_pb2
from drydock.fixer.v1.fixer_service_pb2_grpc import FixerServiceStub
from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2, scanner_service_pb2
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.gateway.api import Role
from services.gateway.permissions import MINIMAL_ROLES, UNLIMITED, Open, suffices
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.client import open_channel, translated_errors
from tests.builders.methods import METHODS, answer_of, filled
from tests.fakes.fixer import a_fix_task
from tests.fakes.scanner import a_task
from tests.integration.test_gateway_doors import Gateway, gateway

REFUSED = {grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAUTHENTICATED}
CALLS = {name: least for name, least in MINIMAL_ROLES.items() if name in METHODS}
"""Of the table, those of gRPC."""
NAMING = {"instance", "instance_id", "rule_id", "scan_rule_id", "task_id"}
"""Fields by which a request names something of an instance."""
LISTS = {
    "/drydock.acr.v20181201.ContainerRegistry/ListInstance",
    "/drydock.rules.v1.RulesService/ListInstances",
    "/drydock.rules.v1.RulesService/ListRegions",
}
"""Methods whose requests need not name any instance: their answers are filtered."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """Two instances with a rule each, and a client of each key that is asked for."""

    gateway: Gateway
    admin: grpc.aio.Channel
    mine: str
    other: str
    rules: dict[str, str]

    async def key(self, name: str, role: Role, **said: object) -> str:
        request = pb.CreateKeyRequest(name=name, role=pb.Role.Value(f"ROLE_{role.value}"), **said)  # type: ignore[arg-type] # its fields
        return (await AdminServiceStub(self.admin).CreateKey(request)).token

    async def limited(self, *namespaces: str, role: Role = Role.OPERATOR) -> str:
        return await self.key("limited", role, scopes=[pb.KeyScope(instance="mine", namespaces=namespaces)])


@pytest.fixture
async def house(database: str, tmp_path: Path) -> AsyncIterator[House]:
    async with (
        gateway(database, tmp_path / "admin.token") as running,
        open_channel(running.doors.grpc, token=running.admin) as admin,
    ):
        stub, ids, rules = RulesServiceStub(admin), {}, {}
        for name in ("mine", "other"):
            new = instance_pb2.Instance(name=name, address=f"{name}.example", region=name)
            created = await stub.CreateInstance(
                rules_service_pb2.CreateInstanceRequest(instance=new, engine="security-center")
            )
            ids[name] = created.instance.instance_id
            listed = await stub.ListScanRules(rules_service_pb2.ListScanRulesRequest(instance=name))
            rules[name] = listed.rules[0].rule_id
        yield House(gateway=running, admin=admin, mine=ids["mine"], other=ids["other"], rules=rules)


@pytest.mark.parametrize("role", Role)
async def test_each_role_may_make_each_call_that_the_table_says_and_no_other(house: House, role: Role) -> None:
    token = await house.key("k", role, **({"instance": "mine"} if role is Role.WEBHOOK else {}))
    async with grpc.aio.insecure_channel(house.gateway.doors.grpc) as channel:
        for name, least in CALLS.items():
            code, details, _ = await answer_of(channel, name, token=token)
            allowed = isinstance(least, Open) or suffices(role, least)
            assert (code not in REFUSED) is allowed, (name, code, details)
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (name, details)
            assert token not in details


async def test_a_limited_key_learns_nothing_of_another_instance_by_any_call(house: House) -> None:
    house.gateway.scanner.task = a_task(instance_id=house.other)
    foreign = {
        **{"instance": house.other, "instance_id": house.other, "namespace": "team", "repository": "app"},
        **{"rule_id": house.rules["other"], "scan_rule_id": house.rules["other"], "tag": "1.0", "name": "n"},
        **{"task_id": house.gateway.scanner.task.task_id, "tag_pattern": ".*", "repo_id": "crr-x"},
        **{"rule_name": "n", "scan_scope": "INSTANCE", "repo_tag_filter_pattern": ".*", "trigger_type": "AUTO"},
        **{"engine": "trivy", "field": "region", "repo_namespace_name": "team", "repo_name": "app"},
        **{"repo_type": "PRIVATE", "summary": "s", "namespace_name": "team", "chain_id": "chi-x"},
    }
    token = await house.limited()
    async with grpc.aio.insecure_channel(house.gateway.doors.grpc) as channel:
        for name, least in CALLS.items():
            if not name.startswith("/drydock.") or least is Role.ADMIN:
                continue
            if name in LISTS:
                code, _, listed = await answer_of(channel, name, token=token)
                assert code is grpc.StatusCode.OK
                assert b"mine" in listed
                assert b"other" not in listed
                continue
            request, named = filled(METHODS[name], foreign)
            assert named & NAMING or name in UNLIMITED, f"{name}: say what a limited key may do with it"
            code, details, _ = await answer_of(channel, name, request.SerializeToString(), token=token)
            if code is grpc.StatusCode.INVALID_ARGUMENT:  # refused for its form: so it is of no instance at all
                request, _ = filled(METHODS[name], {**foreign, "instance": "cri-0", "instance_id": "cri-0"})
                none = await answer_of(channel, name, request.SerializeToString(), token=token)
                assert none == (code, details, b""), name
                continue
            assert code in (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.NOT_FOUND), (name, code, details)


async def test_another_instance_by_its_name_or_none_at_all_look_the_same(house: House) -> None:
    async with open_channel(house.gateway.doors.grpc, token=await house.limited()) as channel:
        told = set()
        for instance in ("other", house.other, "none", "cri-none", "\0"):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await RulesServiceStub(channel).GetInstance(
                    rules_service_pb2.GetInstanceRequest(instance=instance)
                )
            told.add((caught.value.kind, caught.value.reason, caught.value.message.replace(repr(instance), "X")))
    assert told == {
        (Kind.PERMISSION_DENIED, "OUT_OF_REACH", "The key 'limited' may not call about the instance X.")
    }


async def test_a_limited_key_does_all_that_its_role_may_within_its_instance(house: House) -> None:
    house.gateway.scanner.task = a_task(instance_id=house.mine)
    async with open_channel(house.gateway.doors.grpc, token=await house.limited()) as channel:
        rules, scanner = RulesServiceStub(channel), ScannerServiceStub(channel)
        listed = await rules.ListInstances(rules_service_pb2.ListInstancesRequest())
        regions = await rules.ListRegions(rules_service_pb2.ListRegionsRequest())
        assert [one.name for one in listed.instances] == ["mine"]
        assert [(one.region, one.instances) for one in regions.regions] == [("mine", 1)]
        change = rules_service_pb2.UpdateInstanceRequest(instance=instance_pb2.Instance(instance_id=house.mine))
        change.update_mask.paths.append("region")
        await rules.UpdateInstance(change)
        image = scan_pb2.ImageRef(instance="mine", namespace="team", repository="app", tag="1.0")
        await scanner.CreateScanTask(scanner_service_pb2.CreateScanTaskRequest(image=image))
        await scanner.GetImageStatus(scanner_service_pb2.GetImageStatusRequest(image=image))
        tasks = await scanner.ListScanTasks(scanner_service_pb2.ListScanTasksRequest())
        assert [task.instance_id for task in tasks.tasks] == [house.mine]


async def test_what_has_an_id_of_its_own_and_is_out_of_reach_does_not_exist(house: House) -> None:
    house.gateway.scanner.task = a_task(instance_id=house.other)
    task_id = house.gateway.scanner.task.task_id
    async with open_channel(house.gateway.doors.grpc, token=await house.limited()) as channel:
        rules, scanner = RulesServiceStub(channel), ScannerServiceStub(channel)
        for call, reason in (
            (
                rules.GetScanRule(rules_service_pb2.GetScanRuleRequest(rule_id=house.rules["other"])),
                "SCAN_RULE_NOT_EXIST",
            ),
            (
                rules.DeleteScanRule(rules_service_pb2.DeleteScanRuleRequest(rule_id=house.rules["other"])),
                "SCAN_RULE_NOT_EXIST",
            ),
            (
                rules.RunScanRule(rules_service_pb2.RunScanRuleRequest(rule_id=house.rules["other"])),
                "SCAN_RULE_NOT_EXIST",
            ),
            (scanner.GetScanTask(scanner_service_pb2.GetScanTaskRequest(task_id=task_id)), "SCAN_TASK_NOT_EXIST"),
            (
                scanner.CancelScanTask(scanner_service_pb2.CancelScanTaskRequest(task_id=task_id)),
                "SCAN_TASK_NOT_EXIST",
            ),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await call
            assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, reason)
    assert house.gateway.scanner.task.reason == ""
    await RulesServiceStub(house.admin).GetScanRule(
        rules_service_pb2.GetScanRuleRequest(rule_id=house.rules["other"])
    )


OUTSIDE = [
    ("other", "app"),
    ("", "other/app"),
    ("_", "other/app"),
    ("team", "tools/app"),
    ("", "app"),
    ("", "/other/app"),
]
"""A repository of another namespace, however its path is divided."""


@pytest.mark.parametrize(("namespace", "repository"), OUTSIDE)
async def test_a_key_of_a_namespace_reaches_no_other_one(house: House, namespace: str, repository: str) -> None:
    house.gateway.scanner.task = a_task(instance_id=house.mine, namespace="other")
    image = scan_pb2.ImageRef(instance=house.mine, namespace=namespace, repository=repository, tag="1.0")
    async with open_channel(house.gateway.doors.grpc, token=await house.limited("team")) as channel:
        scanner = ScannerServiceStub(channel)
        for call in (
            scanner.CreateScanTask(scanner_service_pb2.CreateScanTaskRequest(image=image)),
            scanner.GetImageStatus(scanner_service_pb2.GetImageStatusRequest(image=image)),
            scanner.ListFindings(scanner_service_pb2.ListFindingsRequest(image=image)),
            scanner.GetReport(scanner_service_pb2.GetReportRequest(image=image)),
            scanner.ListTags(
                scanner_service_pb2.ListTagsRequest(
                    instance=house.mine, namespace=namespace, repository=repository
                )
            ),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await call
            assert caught.value.reason == "OUT_OF_REACH"
    assert not house.gateway.scanner.created
    assert not house.gateway.scanner.asked


async def test_a_key_of_a_namespace_sees_and_makes_rules_of_that_one_alone(house: House) -> None:
    def rule(
        *namespaces: str, scope: scan_rule_pb2.Scope.ValueType = scan_rule_pb2.SCOPE_NAMESPACE
    ) -> rules_service_pb2.CreateScanRuleRequest:
        return rules_service_pb2.CreateScanRuleRequest(
            rule=scan_rule_pb2.ScanRule(
                instance_id=house.mine, name=f"r{namespaces}", scope=scope, namespaces=namespaces, tag_pattern=".*"
            )
        )

    async with open_channel(house.gateway.doors.grpc, token=await house.limited("team")) as channel:
        rules = RulesServiceStub(channel)
        for refused in (rule("other"), rule("team", "other"), rule(scope=scan_rule_pb2.SCOPE_INSTANCE)):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await rules.CreateScanRule(refused)
            assert caught.value.reason == "OUT_OF_REACH"
        made = (await rules.CreateScanRule(rule("team"))).rule
        listed = await rules.ListScanRules(rules_service_pb2.ListScanRulesRequest(instance="mine", page_size=1))
        assert ([one.rule_id for one in listed.rules], listed.total_size) == ([made.rule_id], 1)
        assert not listed.next_page_token
        with pytest.raises(ServiceError) as caught, translated_errors():
            await rules.GetScanRule(rules_service_pb2.GetScanRuleRequest(rule_id=house.rules["mine"]))
        assert caught.value.reason == "SCAN_RULE_NOT_EXIST"
        for whole in (
            rules.SetSync(rules_service_pb2.SetSyncRequest(instance="mine", on=True)),
            rules.DeleteInstance(rules_service_pb2.DeleteInstanceRequest(instance="mine")),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await whole
            assert caught.value.reason == "OUT_OF_REACH"


async def test_a_task_that_is_named_by_its_id_alone_is_held_against_the_namespace(house: House) -> None:
    task = house.gateway.scanner.task = a_task(instance_id=house.mine, namespace="other")
    async with open_channel(house.gateway.doors.grpc, token=await house.limited("team")) as channel:
        status = channel.unary_unary(
            "/drydock.acr.v20181201.ContainerRegistry/GetRepoTagScanStatus",
            request_serializer=acr.GetRepoTagScanStatusRequest.SerializeToString,
            response_deserializer=acr.GetRepoTagScanStatusResponse.FromString,
        )
        with pytest.raises(ServiceError) as caught, translated_errors():
            await status(acr.GetRepoTagScanStatusRequest(instance_id=house.mine, scan_task_id=task.task_id))
    assert caught.value.reason == "SCAN_TASK_NOT_EXIST"


async def test_a_rotated_key_keeps_its_limits_and_the_log_names_who_rotated_it(house: House) -> None:
    old = await house.limited()
    admin = AdminServiceStub(house.admin)
    rotated = await admin.RotateKey(pb.RotateKeyRequest(key="limited"))
    assert list(rotated.key.scopes) == [pb.KeyScope(instance=house.mine)]
    for token in (old, rotated.token):
        async with open_channel(house.gateway.doors.grpc, token=token) as channel:
            listed = await RulesServiceStub(channel).ListInstances(rules_service_pb2.ListInstancesRequest())
            assert [one.name for one in listed.instances] == ["mine"]
    records = (await admin.ListAuditRecords(pb.ListAuditRecordsRequest())).records
    assert (records[0].action, dict(records[0].subject)) == ("AdminService/RotateKey", {"key": "limited"})
    assert old not in str(records)
    assert rotated.token not in str(records)


async def test_a_key_of_a_namespace_reaches_no_other_one_as_acr_calls_it(house: House) -> None:
    everywhere = ContainerRegistryStub(house.admin)
    instance: dict[str, Any] = {"instance_id": house.mine}
    for namespace in ("team", "other"):
        await everywhere.CreateNamespace(acr.CreateNamespaceRequest(**instance, namespace_name=namespace))
        await everywhere.CreateChain(
            acr.CreateChainRequest(**instance, name=namespace, repo_namespace_name=namespace)
        )
    whole = await everywhere.CreateChain(acr.CreateChainRequest(**instance, name="whole"))
    async with open_channel(house.gateway.doors.grpc, token=await house.limited("team")) as channel:
        mine = ContainerRegistryStub(channel)
        spaces = await mine.ListNamespace(acr.ListNamespaceRequest(**instance))
        chains = await mine.ListChain(acr.ListChainRequest(**instance))
        instances = await mine.ListInstance(acr.ListInstanceRequest())
        for call in (
            mine.GetNamespace(acr.GetNamespaceRequest(**instance, namespace_name="other")),
            mine.CreateNamespace(acr.CreateNamespaceRequest(**instance, namespace_name="third")),
            mine.UpdateNamespace(acr.UpdateNamespaceRequest(**instance, namespace_name="other")),
            mine.DeleteNamespace(acr.DeleteNamespaceRequest(**instance, namespace_name="other")),
            mine.CreateChain(acr.CreateChainRequest(**instance, name="a")),
            mine.CreateChain(acr.CreateChainRequest(**instance, name="b", repo_namespace_name="other")),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await call
            assert caught.value.reason == "OUT_OF_REACH"
        with pytest.raises(ServiceError) as caught, translated_errors():
            await mine.DeleteChain(acr.DeleteChainRequest(**instance, chain_id=whole.chain_id))
        assert caught.value.reason == "CHAIN_NOT_EXIST"
    assert [each.namespace_name for each in spaces.namespaces] == ["team"]
    assert [each.name for each in chains.chains] == ["team"]
    assert [each.instance_id for each in instances.instances] == [house.mine]


# fixes


def fix_of(house: House, namespace: str = "team", *, overwrite: bool = False) -> fix_pb2.FixOrder:
    return fix_pb2.FixOrder(
        instance=house.mine, namespace=namespace, repository="app", tag="1.0", overwrite=overwrite
    )


async def test_a_client_has_a_tag_made_and_only_an_operator_has_one_written_over(house: House) -> None:
    create = fixer_service_pb2.CreateFixTaskRequest
    for role, overwrite, allowed in (
        (Role.CLIENT, False, True),
        (Role.CLIENT, True, False),
        (Role.OPERATOR, True, True),
    ):
        token = await house.key(f"{role.value.lower()}-{overwrite}".lower(), role)
        async with open_channel(house.gateway.doors.grpc, token=token) as channel:
            call = FixerServiceStub(channel).CreateFixTask(create(order=fix_of(house, overwrite=overwrite)))
            if allowed:
                await call
                continue
            with pytest.raises(ServiceError) as caught, translated_errors():
                await call
            assert (caught.value.kind, caught.value.reason) == (Kind.PERMISSION_DENIED, "ROLE_INSUFFICIENT")
    assert [wanted.overwrite for wanted in house.gateway.fixer.asked] == [False, True]
    records = (await AdminServiceStub(house.admin).ListAuditRecords(pb.ListAuditRecordsRequest())).records
    noted = [each for each in records if each.action == "FixerService/CreateFixTask"]
    assert [(each.actor, each.outcome) for each in noted] == [
        ("operator-true", "OK"),
        ("client-true", "ROLE_INSUFFICIENT"),
        ("client-false", "OK"),
    ]
    assert noted[0].instance == house.mine
    assert dict(noted[0].subject) == {"namespace": "team", "repository": "app", "tag": "1.0", "overwrite": "True"}


async def test_a_key_of_a_namespace_fixes_and_sees_nothing_of_another_one(house: House) -> None:
    task = a_fix_task(instance_id=house.mine, namespace="other")
    house.gateway.fixer.tasks = [task]
    async with open_channel(house.gateway.doors.grpc, token=await house.limited("team")) as channel:
        fixer = FixerServiceStub(channel)
        for call in (
            fixer.PreviewFix(fixer_service_pb2.PreviewFixRequest(order=fix_of(house, "other"))),
            fixer.CreateFixTask(fixer_service_pb2.CreateFixTaskRequest(order=fix_of(house, "other"))),
            fixer.ListFixTasks(fixer_service_pb2.ListFixTasksRequest(repository="other/app")),
            fixer.ListFixTasks(fixer_service_pb2.ListFixTasksRequest(instance=house.other)),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await call
            assert caught.value.reason == "OUT_OF_REACH"
        for named in (
            fixer.GetFixTask(fixer_service_pb2.GetFixTaskRequest(task_id=task.task_id)),
            fixer.CancelFixTask(fixer_service_pb2.CancelFixTaskRequest(task_id=task.task_id)),
            fixer.RevertFixTask(fixer_service_pb2.RevertFixTaskRequest(task_id=task.task_id)),
            # A request id may be the id of somebody else's task.
            fixer.CreateFixTask(fixer_service_pb2.CreateFixTaskRequest(order=fix_of(house))),
        ):
            with pytest.raises(ServiceError) as caught, translated_errors():
                await named
            assert (caught.value.kind, caught.value.reason) == (Kind.NOT_FOUND, "FIX_TASK_NOT_EXIST")
        await fixer.ListFixTasks(fixer_service_pb2.ListFixTasksRequest())
    [wanted] = house.gateway.fixer.filters
    assert (wanted.instance, wanted.namespaces) == (house.mine, ("team",))
