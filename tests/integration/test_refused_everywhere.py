"""What every door of a whole Drydock refuses in the same words: targets that are none, personal instances."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.acr.v20181201.container_registry_pb2_grpc import ContainerRegistryStub
from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2, scanner_service_pb2
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.access import RegistryAccess
from services.kernel.rpc.client import translated_errors
from services.lab.push import push_image
from services.lab.registry import serve_registry
from tests.builders.images import an_image
from tests.running import Client, client_of, running_drydock

pytestmark = pytest.mark.slow


@pytest.fixture
async def client(tmp_path: Path, database: str) -> AsyncIterator[Client]:
    async with running_drydock(tmp_path, database) as running, client_of(running) as client:
        yield client


async def failure_of(call: Awaitable[object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught, translated_errors():
        await call
    return caught.value


async def create_instance(client: Client, edition: instance_pb2.Edition.ValueType) -> str:
    new = instance_pb2.Instance(name="lab", address="127.0.0.1:1", plain_http=True, edition=edition)
    request = rules_service_pb2.CreateInstanceRequest(instance=new)
    return (await RulesServiceStub(client.channel).CreateInstance(request)).instance.instance_id


def create_rule(client: Client, instance_id: str, *target_ids: str) -> Awaitable[object]:
    rule = scan_rule_pb2.ScanRule(
        instance_id=instance_id,
        name="r",
        scope=scan_rule_pb2.SCOPE_INSTANCE,
        tag_pattern=".*",
        target_ids=target_ids,
    )
    request = rules_service_pb2.CreateScanRuleRequest(rule=rule)
    return RulesServiceStub(client.channel).CreateScanRule(request)


async def a_rule_from_better_days(client: Client, instance_id: str) -> str:
    """Makes a rule while the instance is an enterprise one."""
    stub = RulesServiceStub(client.channel)
    rule_id = ""
    for edition in (instance_pb2.EDITION_ENTERPRISE, instance_pb2.EDITION_PERSONAL):
        said = instance_pb2.Instance(instance_id=instance_id, edition=edition)
        mask = FieldMask(paths=["edition"])
        await stub.UpdateInstance(rules_service_pb2.UpdateInstanceRequest(instance=said, update_mask=mask))
        if edition == instance_pb2.EDITION_ENTERPRISE:
            made = await create_rule(client, instance_id)
            assert isinstance(made, rules_service_pb2.CreateScanRuleResponse)
            rule_id = made.rule.rule_id
    return rule_id


def create_task(client: Client, instance_id: str, *target_ids: str) -> Awaitable[object]:
    image = scan_pb2.ImageRef(instance=instance_id, namespace="team", repository="app", tag="1.0")
    request = scanner_service_pb2.CreateScanTaskRequest(image=image, target_ids=target_ids)
    return ScannerServiceStub(client.channel).CreateScanTask(request)


def read_results(client: Client, instance_id: str) -> tuple[Awaitable[object], ...]:
    image = scan_pb2.ImageRef(instance=instance_id, namespace="team", repository="app", tag="1.0")
    scanner = ScannerServiceStub(client.channel)
    return (
        scanner.GetImageStatus(scanner_service_pb2.GetImageStatusRequest(image=image)),
        scanner.ListFindings(scanner_service_pb2.ListFindingsRequest(image=image)),
        scanner.GetReport(scanner_service_pb2.GetReportRequest(image=image)),
    )


async def test_a_target_that_is_none_is_refused_to_rules_and_to_tasks(client: Client) -> None:
    instance_id = await create_instance(client, instance_pb2.EDITION_ENTERPRISE)
    known = await client.target("http://127.0.0.1:9/")

    for call in (
        create_rule(client, instance_id, known, "tgt-none"),
        create_task(client, instance_id, known, "tgt-none"),
    ):
        error = await failure_of(call)
        assert (error.kind, error.reason, error.field) == (
            Kind.INVALID_ARGUMENT,
            "TARGET_NOT_EXIST",
            "target_ids",
        )
        assert "tgt-none" in error.message

    await create_rule(client, instance_id, known)
    # Only now the registry is asked, which is not there.
    assert (await failure_of(create_task(client, instance_id, known))).reason == "REGISTRY_UNREACHABLE"


async def test_more_targets_than_anybody_has_are_refused(client: Client) -> None:
    instance_id = await create_instance(client, instance_pb2.EDITION_ENTERPRISE)
    error = await failure_of(create_task(client, instance_id, *(f"tgt-{n}" for n in range(101))))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "TOO_MANY_TARGETS")


async def test_a_personal_instance_is_refused_in_one_sentence_at_every_door(client: Client) -> None:
    instance_id = await create_instance(client, instance_pb2.EDITION_PERSONAL)
    registry = ContainerRegistryStub(client.channel)
    image = {"instance_id": instance_id, "repo_id": "crr-1", "tag": "1.0"}
    engines = RulesServiceStub(client.channel)
    rule = acr.CreateScanRuleRequest(
        instance_id=instance_id,
        rule_name="r",
        scan_scope="INSTANCE",
        repo_tag_filter_pattern=".*",
        trigger_type="AUTO",
    )
    manual = await a_rule_from_better_days(client, instance_id)
    rules_stub = RulesServiceStub(client.channel)
    errors = [
        await failure_of(call)
        for call in (
            create_rule(client, instance_id),
            create_task(client, instance_id),
            rules_stub.PreviewScanRule(rules_service_pb2.PreviewScanRuleRequest(rule_id=manual)),
            rules_stub.RunScanRule(rules_service_pb2.RunScanRuleRequest(rule_id=manual)),
            registry.CreateScanRule(rule),
            registry.CreateRepoTagScanTask(acr.CreateRepoTagScanTaskRequest(**image)),
            registry.GetRepoTagScanStatus(acr.GetRepoTagScanStatusRequest(**image)),
            registry.GetRepoTagScanSummary(acr.GetRepoTagScanSummaryRequest(**image)),
            registry.ListRepoTagScanResult(
                acr.ListRepoTagScanResultRequest(instance_id=instance_id, repo_id="crr-1", tag="1.0")
            ),
            engines.ListScanEngines(rules_service_pb2.ListScanEnginesRequest(instance=instance_id)),
            engines.GetScanEngineStatus(rules_service_pb2.GetScanEngineStatusRequest(instance=instance_id)),
            engines.ActivateScanEngine(
                rules_service_pb2.ActivateScanEngineRequest(
                    instance=instance_id, engine="security-center", authorize=True
                )
            ),
            engines.SwitchScanEngine(
                rules_service_pb2.SwitchScanEngineRequest(instance=instance_id, engine="security-center")
            ),
            rules_stub.SetSync(rules_service_pb2.SetSyncRequest(instance=instance_id, on=True)),
            rules_stub.SyncNow(rules_service_pb2.SyncNowRequest(instance=instance_id)),
            ScannerServiceStub(client.channel).ListTags(
                scanner_service_pb2.ListTagsRequest(instance=instance_id, namespace="team", repository="app")
            ),
            *read_results(client, instance_id),
        )
    ]

    assert {(error.kind, error.reason) for error in errors} == {
        (Kind.FAILED_PRECONDITION, "EDITION_NOT_SUPPORTED")
    }
    assert len({error.sentence() for error in errors}) == 1
    assert await client.tasks(instance_id) == []
    rules = await registry.ListScanRule(acr.ListScanRuleRequest(instance_id=instance_id))
    assert (rules.is_success, rules.total_count) == (True, 1)


async def test_what_was_scanned_before_an_instance_became_personal_is_refused_too(client: Client) -> None:
    async with serve_registry() as registry:
        access = RegistryAccess(address=registry.address, plain_http=True)
        await push_image(access, "team/app", "1.0", an_image())
        instance_id = await client.instance(access)
        made = await create_task(client, instance_id)
        assert isinstance(made, scanner_service_pb2.CreateScanTaskResponse)
        await client.wait(instance_id, "team/app", "1.0")
    for call in read_results(client, instance_id):
        await call
    change = rules_service_pb2.UpdateInstanceRequest(
        instance=instance_pb2.Instance(instance_id=instance_id, edition=instance_pb2.EDITION_PERSONAL),
        update_mask=FieldMask(paths=["edition"]),
    )
    await RulesServiceStub(client.channel).UpdateInstance(change)
    async with asyncio.timeout(10):  # the gateway remembers an edition for five seconds at most
        while await still_reads(client, instance_id):
            await asyncio.sleep(0.2)
    again = scanner_service_pb2.RerunScanTaskRequest(task_id=made.task.task_id)
    for call in (*read_results(client, instance_id), ScannerServiceStub(client.channel).RerunScanTask(again)):
        assert (await failure_of(call)).reason == "EDITION_NOT_SUPPORTED"


async def still_reads(client: Client, instance_id: str) -> bool:
    image = scan_pb2.ImageRef(instance=instance_id, namespace="team", repository="app", tag="1.0")
    request = scanner_service_pb2.GetImageStatusRequest(image=image)
    try:
        await ScannerServiceStub(client.channel).GetImageStatus(request)
    except grpc.aio.AioRpcError:
        return False
    return True
