"""The gateway as wired: every door, every service behind the guard, the end in order."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
import structlog.testing
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import ValidationError

from drydock.acr.v20181201 import container_registry_pb2 as acr_pb
from drydock.acr.v20181201 import container_registry_pb2_grpc as acr_rpc
from drydock.gateway.v1 import admin_service_pb2 as admin_pb
from drydock.gateway.v1 import admin_service_pb2_grpc as admin_rpc
from drydock.rules.v1 import instance_pb2, rules_inner_service_pb2, rules_service_pb2
from drydock.rules.v1 import rules_service_pb2_grpc as rules_rpc
from drydock.scanner.v1 import scanner_inner_service_pb2
from services.gateway.permissions import MINIMAL_ROLES, Open
from services.gateway.settings import GatewaySettings
from services.gateway.wiring import Doors, server
from services.kernel.errors import Kind, ServiceError
from services.kernel.monitoring import serve_monitoring
from services.kernel.rpc.client import open_channel, translated_errors
from services.kernel.run import Process
from services.kernel.secrets import SecretBox
from tests.builders.edge import real_rules
from tests.builders.ground import a_ground, end
from tests.builders.methods import METHODS
from tests.fakes.fixer import FakeFixer
from tests.fakes.notifier import FakeNotifier
from tests.fakes.scanner import FakeScanner, a_task

SCHEMAS = (("gateway", "services.gateway"), ("rules", "services.rules"), ("bus", "services.kernel.bus"))
LOOPBACK = "127.0.0.1:0"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gateway:
    doors: Doors
    monitoring: str
    process: Process
    scanner: FakeScanner
    fixer: FakeFixer
    admin: str


@asynccontextmanager
async def gateway(database: str, token_file: Path, **changes: Any) -> AsyncIterator[Gateway]:
    listen = {"grpc_listen": LOOPBACK, "http_listen": LOOPBACK, "monitoring_listen": LOOPBACK}
    settings = GatewaySettings(**{**listen, **changes})
    scanner, fixer = FakeScanner(), FakeFixer()
    async with a_ground(database, *SCHEMAS) as ground:
        rules = real_rules(ground.pool, ground.clock)
        async with (
            serve_monitoring(ground.process.readiness, ground.registry, settings.monitoring_listen) as monitoring,
            server(
                ground,
                rules=rules,
                scanner=scanner,
                fixer=fixer,
                notifier=FakeNotifier(),
                box=SecretBox(b"k" * 32),
                settings=settings,
            ) as doors,
        ):
            await doors.keys.bootstrap_admin(token_file)
            admin = (await asyncio.to_thread(token_file.read_text)).strip()
            yield Gateway(
                doors=doors,
                monitoring=monitoring,
                process=ground.process,
                scanner=scanner,
                fixer=fixer,
                admin=admin,
            )
            await end(ground)


@pytest.fixture
async def running(database: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(database, tmp_path / "admin.token") as running:
        yield running


async def status_of(channel: grpc.aio.Channel, method: str) -> grpc.StatusCode:
    """Calls any unary method with an empty message."""
    call = channel.unary_unary(method, request_serializer=bytes, response_deserializer=bytes)
    try:
        await call(b"", timeout=10)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


UNARY = sorted(method for method in METHODS if not method.endswith(("/Watch", "/ServerReflectionInfo")))


async def test_every_method_of_the_table_is_served_and_guarded(running: Gateway) -> None:
    async with (
        open_channel(running.doors.grpc) as anonymous,
        open_channel(running.doors.grpc, token=running.admin) as admin,
    ):
        for method in UNARY:
            without = await status_of(anonymous, method)
            guarded = not isinstance(MINIMAL_ROLES[method], Open)
            assert (without is grpc.StatusCode.UNAUTHENTICATED) is guarded, method
            with_key = await status_of(admin, method)
            refused = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
            broken = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}
            assert with_key not in refused | broken, method
            if not method.endswith("Health/List"):
                assert with_key is not grpc.StatusCode.UNIMPLEMENTED, method


async def test_health_is_open_and_names_every_service(running: Gateway) -> None:
    services = {method.split("/")[1] for method in MINIMAL_ROLES if method.startswith("/drydock.")}
    async with grpc.aio.insecure_channel(running.doors.grpc) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        for service in ["", *sorted(services)]:
            answer = await check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def reflected(gateway: Gateway, token: str) -> list[str]:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    async with grpc.aio.insecure_channel(gateway.doors.grpc) as channel:
        untyped: Any = channel  # the stubs of the reflection package know no aio channel
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(untyped)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")
        call = stub.ServerReflectionInfo(iter([asked]), metadata=metadata)
        with translated_errors():
            return [entry.name async for answer in call for entry in answer.list_services_response.service]


async def test_reflection_shows_the_services_to_who_has_a_key(running: Gateway) -> None:
    assert "drydock.acr.v20181201.ContainerRegistry" in await reflected(running, running.admin)
    with pytest.raises(ServiceError) as caught:
        await reflected(running, "")
    assert caught.value.kind is Kind.UNAUTHENTICATED


async def test_an_operator_sets_up_and_the_registrys_push_gets_in(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        created = await rules_rpc.RulesServiceStub(channel).CreateInstance(
            rules_service_pb2.CreateInstanceRequest(
                instance=instance_pb2.Instance(name="lab", address="127.0.0.1:5000")
            )
        )
        hook = await admin_rpc.AdminServiceStub(channel).CreateKey(
            admin_pb.CreateKeyRequest(name="hook", role=admin_pb.ROLE_WEBHOOK, instance="lab")
        )
    instance_id = created.instance.instance_id
    target = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": "sha256:" + "a" * 64,
        "repository": "team/app",
        "tag": "1",
    }
    envelope = {"events": [{"id": "1", "action": "push", "target": target}]}
    url = hook.webhook_url
    assert url == f"http://{running.doors.http}/webhooks/distribution/{instance_id}"
    headers = {"authorization": f"Bearer {hook.token}", "content-type": "application/json"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=json.dumps(envelope), headers=headers) as response,
    ):
        assert (response.status, await response.json()) == (
            202,
            {"accepted": 1, "ignored": 0, "ignored_by_reason": {}},
        )


async def webhook_url(running: Gateway) -> str:
    """Makes a webhook key and returns where its bearer is told to deliver."""
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        new = instance_pb2.Instance(name="lab", address="127.0.0.1:5000")
        await rules_rpc.RulesServiceStub(channel).CreateInstance(
            rules_service_pb2.CreateInstanceRequest(instance=new)
        )
        admin = admin_rpc.AdminServiceStub(channel)
        other = await admin.CreateKey(admin_pb.CreateKeyRequest(name="ci", role=admin_pb.ROLE_CLIENT))
        assert other.webhook_url == ""
        request = admin_pb.CreateKeyRequest(name="hook", role=admin_pb.ROLE_WEBHOOK, instance="lab")
        return (await admin.CreateKey(request)).webhook_url


async def test_a_door_behind_a_proxy_is_named_as_the_operator_says(database: str, tmp_path: Path) -> None:
    said = "https://drydock.example.com/hooks/"
    async with gateway(database, tmp_path / "admin.token", public_url=said) as running:
        url = await webhook_url(running)
    assert url.startswith("https://drydock.example.com/hooks/webhooks/distribution/cri-")


@pytest.mark.parametrize("everywhere", ["0.0.0.0:0", "[::]:0"])
async def test_a_door_on_every_address_is_named_by_its_machine(
    database: str, tmp_path: Path, everywhere: str
) -> None:
    with structlog.testing.capture_logs() as logs:
        async with gateway(database, tmp_path / "admin.token", http_listen=everywhere) as running:
            url = await webhook_url(running)
            port = running.doors.http.rpartition(":")[2]
    assert url.startswith(f"http://{socket.gethostname()}:{port}/webhooks/")
    [guess] = [entry for entry in logs if entry["event"] == "webhooks.address_guessed"]
    assert "DRYDOCK_GATEWAY_PUBLIC_URL" in guess["hint"]


@pytest.mark.parametrize(
    "wrong",
    ["h.example.com", "ftp://h", "http://", "http://u:p@h", "http://h?q", "http://h#f", "http://a b"],
)
def test_a_public_url_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ValidationError):
        GatewaySettings(public_url=wrong)


async def test_a_webhook_key_may_call_nothing_else(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        await rules_rpc.RulesServiceStub(channel).CreateInstance(
            rules_service_pb2.CreateInstanceRequest(
                instance=instance_pb2.Instance(name="lab", address="127.0.0.1:5000")
            )
        )
        hook = await admin_rpc.AdminServiceStub(channel).CreateKey(
            admin_pb.CreateKeyRequest(name="hook", role=admin_pb.ROLE_WEBHOOK, instance="lab")
        )
    async with open_channel(running.doors.grpc, token=hook.token) as channel:
        for method in UNARY:
            if not isinstance(MINIMAL_ROLES[method], Open):
                assert await status_of(channel, method) is grpc.StatusCode.PERMISSION_DENIED, method


async def test_a_revoked_key_stays_outside(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        admin = admin_rpc.AdminServiceStub(channel)
        issued = await admin.CreateKey(admin_pb.CreateKeyRequest(name="ci", role=admin_pb.ROLE_CLIENT))
        listed = await admin.ListKeys(admin_pb.ListKeysRequest())
        async with open_channel(running.doors.grpc, token=issued.token) as client:
            before = await status_of(client, "/drydock.rules.v1.RulesService/ListInstances")
            await admin.RevokeKey(admin_pb.RevokeKeyRequest(key="ci"))
            after = await status_of(client, "/drydock.rules.v1.RulesService/ListInstances")

    assert [key.name for key in listed.keys] == ["admin", "ci"]
    assert (before, after) == (grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED)


async def test_what_is_for_peers_is_not_served_to_anybody(running: Gateway) -> None:
    inner = [
        service
        for file in (rules_inner_service_pb2, scanner_inner_service_pb2)
        for service in file.DESCRIPTOR.services_by_name.values()
    ]
    methods = [f"/{service.full_name}/{method.name}" for service in inner for method in service.methods]
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        statuses = {method: await status_of(channel, method) for method in methods}
    assert len(methods) > 4
    assert set(statuses.values()) == {grpc.StatusCode.UNIMPLEMENTED}
    assert not set(methods) & set(MINIMAL_ROLES)


async def test_hostile_texts_are_answered_never_internal(running: Gateway) -> None:
    running.scanner.task = a_task()
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        acr, admin = acr_rpc.ContainerRegistryStub(channel), admin_rpc.AdminServiceStub(channel)
        for text in ("\0", "\0" * 5000, "é\u202e", "x" * 100_000, "'; DROP TABLE x; --"):
            calls: list[Any] = [
                acr.GetRepoTagScanStatus(
                    acr_pb.GetRepoTagScanStatusRequest(instance_id=text, repo_id=text, tag=text)
                ),
                acr.GetScanRule(acr_pb.GetScanRuleRequest(instance_id=text, scan_rule_id=text)),
                admin.RevokeKey(admin_pb.RevokeKeyRequest(key=text)),
                admin.ListKeys(admin_pb.ListKeysRequest(page_token=text)),
                admin.CreateKey(admin_pb.CreateKeyRequest(name="h", role=admin_pb.ROLE_WEBHOOK, instance=text)),
            ]
            for call in calls:
                with pytest.raises(ServiceError) as caught, translated_errors():
                    await call
                assert caught.value.kind in (Kind.INVALID_ARGUMENT, Kind.NOT_FOUND)


async def test_monitoring_tells_metrics_and_readiness(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        await status_of(channel, "/drydock.rules.v1.RulesService/ListInstances")
    url = f"http://{running.monitoring}"
    async with aiohttp.ClientSession() as session:
        metrics = await (await session.get(f"{url}/metrics")).text()
        alive = (await session.get(f"{url}/healthz")).status
        ready = await (await session.get(f"{url}/readyz")).json()
        running.process.readiness.stop()
        stopping = await session.get(f"{url}/readyz")
        obstacles = await stopping.json()

    assert 'drydock_rpc_duration_seconds_count{code="OK",method="/drydock.rules' in metrics
    assert (alive, ready) == (200, {"ready": True, "obstacles": {}})
    assert (stopping.status, obstacles["obstacles"]) == (503, {"process": "stopping"})


async def test_the_doors_close_when_the_process_stops(database: str, tmp_path: Path) -> None:
    async with gateway(database, tmp_path / "admin.token") as running:
        running.process.stopping.set()
        await running.process.drain(10)
        with pytest.raises(ServiceError) as caught, translated_errors():
            async with open_channel(running.doors.grpc, token=running.admin) as channel:
                await rules_rpc.RulesServiceStub(channel).ListInstances(rules_service_pb2.ListInstancesRequest())
        async with aiohttp.ClientSession() as session:
            alive = await session.get(f"http://{running.monitoring}/healthz")

    assert caught.value.reason == "SERVER_UNAVAILABLE"
    assert alive.status == 200


async def test_a_door_whose_port_is_taken_is_a_clear_error(database: str, tmp_path: Path) -> None:
    async with gateway(database, tmp_path / "a") as first:
        for setting, taken in (
            ("grpc_listen", first.doors.grpc),
            ("http_listen", first.doors.http),
            ("monitoring_listen", first.monitoring),
        ):
            with pytest.raises(ExceptionGroup) as caught:
                async with gateway(database, tmp_path / "b", **{setting: taken}):
                    pass
            [error] = caught.value.exceptions
            assert isinstance(error, ServiceError)
            assert error.reason == "ADDRESS_NOT_AVAILABLE"


async def test_doors_that_other_machines_reach_in_clear_are_warned_of_once(database: str, tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as logs:
        async with gateway(database, tmp_path / "admin.token", grpc_listen="0.0.0.0:0"):
            pass
    [warning] = [entry for entry in logs if entry["event"] == "door.plaintext"]
    assert warning["log_level"] == "warning"
    assert warning["grpc"].startswith("0.0.0.0:")
    assert "http" not in warning


async def test_what_sdks_of_acr_send_in_the_query_may_be_long(running: Gateway) -> None:
    headers = {"authorization": f"Bearer {running.admin}", "x-acs-version": "2018-12-01"}
    query = {"Action": "ListInstance", "InstanceName": "x" * 100_000}
    async with aiohttp.ClientSession() as session:
        answer = await session.get(f"http://{running.doors.http}/", params=query, headers=headers)
        assert (answer.status, (await answer.json())["TotalCount"]) == (200, 0)
