"""Rules as a server: a push on the bus becomes a request on the bus, and gRPC speaks the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from prometheus_client import CollectorRegistry

from drydock.rules.v1 import instance_pb2, rules_service_pb2_grpc, scan_rule_pb2
from drydock.rules.v1 import rules_service_pb2 as pb
from services.kernel.bus.interface import SCAN_REQUESTS, Bus
from services.kernel.errors import ServiceError
from services.kernel.ids import RandomIds
from services.kernel.rpc.client import open_channel, translated_errors
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from services.rules.api import RulesApi
from services.rules.servicer import RulesServicer
from services.rules.settings import RulesSettings
from services.rules.wiring import server
from tests.builders.ground import a_ground, end
from tests.builders.guards import Anyone
from tests.builders.requests import from_message
from tests.builders.rules import BOX, image_event, new_instance
from tests.fakes.notifier import FakeNotifier


@asynccontextmanager
async def running_rules(url: str) -> AsyncIterator[tuple[RulesApi, Bus]]:
    async with (
        a_ground(url, ("rules", "services.rules")) as ground,
        server(ground, notifier=FakeNotifier(), box=BOX, settings=RulesSettings()) as api,
    ):
        yield api, ground.bus
        await end(ground)


@asynccontextmanager
async def rules_stub(api: RulesApi) -> AsyncIterator[rules_service_pb2_grpc.RulesServiceAsyncStub]:
    interceptor = CallInterceptor(guard=Anyone(), ids=RandomIds(), metrics=RpcMetrics(CollectorRegistry()))
    service = Service(
        name="drydock.rules.v1.RulesService",
        add=lambda grpc_server: rules_service_pb2_grpc.add_RulesServiceServicer_to_server(
            RulesServicer(api), grpc_server
        ),
    )
    async with (
        serve("127.0.0.1:0", [service], interceptors=[interceptor]) as running,
        open_channel(running.address) as channel,
    ):
        yield rules_service_pb2_grpc.RulesServiceStub(channel)


async def test_a_push_on_the_bus_becomes_a_request_on_the_bus(database: str) -> None:
    async with running_rules(database) as (api, bus), asyncio.timeout(30):
        instance = await api.create_instance(new_instance())
        await bus.publish([image_event(instance.instance_id).message])
        async with bus.subscribe(group="test", topic=SCAN_REQUESTS) as subscription:
            batch = None
            while batch is None:
                batch = await subscription.next(1.0)
            (record,) = batch.records
        request = from_message(record.message)
        assert (request.instance_id, request.tag) == (instance.instance_id, "1.0")
        assert record.message.key == request.digest.encode()


async def test_instances_live_and_die_over_grpc(database: str) -> None:
    async with running_rules(database) as (api, _), rules_stub(api) as stub:
        said = instance_pb2.Instance(name="prod", address="registry.example", username="u")
        made = (await stub.CreateInstance(pb.CreateInstanceRequest(instance=said, password="p"))).instance
        assert (made.engine, made.edition) == ("SECURITY_CENTER", instance_pb2.EDITION_ENTERPRISE)
        await stub.UpdateInstance(
            pb.UpdateInstanceRequest(
                instance=instance_pb2.Instance(instance_id=made.instance_id, region="eu", name="ignored"),
                update_mask=FieldMask(paths=["region"]),
            )
        )
        (listed,) = (await stub.ListInstances(pb.ListInstancesRequest(region="eu"))).instances
        assert (listed.name, listed.region) == ("prod", "eu")
        await api.see_repository("prod", "team", "app")
        (repository,) = (await stub.ListRepositories(pb.ListRepositoriesRequest(instance="prod"))).repositories
        assert (repository.namespace, repository.name) == ("team", "app")
        await stub.DeleteInstance(pb.DeleteInstanceRequest(instance="prod"))
        with pytest.raises(ServiceError) as caught, translated_errors():
            await stub.GetInstance(pb.GetInstanceRequest(instance="prod"))
        assert caught.value.reason == "INSTANCE_NOT_EXIST"


async def test_rules_live_and_die_over_grpc(database: str) -> None:
    async with running_rules(database) as (api, _), rules_stub(api) as stub:
        await api.create_instance(new_instance(default_rule=False))
        said = scan_rule_pb2.ScanRule(
            instance_id="prod",
            name="sbom",
            scope=scan_rule_pb2.SCOPE_NAMESPACE,
            namespaces=["team"],
            tag_pattern="v.*",
            scan_type=scan_rule_pb2.SCAN_TYPE_SBOM,
        )
        made = (await stub.CreateScanRule(pb.CreateScanRuleRequest(rule=said))).rule
        assert made.trigger == scan_rule_pb2.TRIGGER_AUTO
        said = scan_rule_pb2.ScanRule(
            rule_id=made.rule_id, name="all", scope=scan_rule_pb2.SCOPE_INSTANCE, tag_pattern=".*"
        )
        changed = (await stub.UpdateScanRule(pb.UpdateScanRuleRequest(rule=said))).rule
        assert (changed.name, changed.scan_type) == ("all", scan_rule_pb2.SCAN_TYPE_SBOM)
        answer = await stub.ListScanRules(pb.ListScanRulesRequest(instance="prod"))
        assert (list(answer.rules), answer.total_size) == ([changed], 1)
        with pytest.raises(ServiceError) as caught, translated_errors():
            said.tag_pattern = "("
            await stub.UpdateScanRule(pb.UpdateScanRuleRequest(rule=said))
        assert (caught.value.reason, caught.value.field) == ("INVALID_TAG_PATTERN", "tag_pattern")
        await stub.DeleteScanRule(pb.DeleteScanRuleRequest(rule_id=made.rule_id))
        with pytest.raises(ServiceError) as caught, translated_errors():
            await stub.GetScanRule(pb.GetScanRuleRequest(rule_id=made.rule_id))
        assert caught.value.reason == "SCAN_RULE_NOT_EXIST"
