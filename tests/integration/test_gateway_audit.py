"""The audit log: who asked for which change through the gateway's door, and how it ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1 import instance_pb2
from drydock.rules.v1 import rules_service_pb2 as rules_pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.gateway.audit import AUDITED
from services.kernel.errors import ServiceError
from services.kernel.rpc.client import open_channel, translated_errors
from tests.integration.test_gateway_doors import Gateway, gateway


@pytest.fixture
async def running(database: str, tmp_path: Path) -> AsyncIterator[Gateway]:
    async with gateway(database, tmp_path / "admin.token") as running:
        yield running


async def records(channel: grpc.aio.Channel, **asked: object) -> list[pb.AuditRecord]:
    request = pb.ListAuditRecordsRequest(**asked)  # type: ignore[arg-type] # its fields
    return list((await AdminServiceStub(channel).ListAuditRecords(request)).records)


async def create(channel: grpc.aio.Channel, name: str) -> str:
    new = instance_pb2.Instance(name=name, address="registry.example", username="u")
    request = rules_pb.CreateInstanceRequest(instance=new, password="geheim", engine="security-center")
    return (await RulesServiceStub(channel).CreateInstance(request)).instance.instance_id


def test_every_change_is_audited_and_no_reading() -> None:
    names = {method.rpartition("/")[2] for method in AUDITED}
    assert {"CreateInstance", "SwitchScanEngine", "ActivateScanEngine", "DeleteTarget"} <= names
    assert {"CreateKey", "RotateKey", "RevokeKey"} <= names
    assert {"CreateScanTask", "CancelScanTask", "RerunScanTask", "RunScanRule", "CreateRepoTagScanTask"} <= names
    assert not any(name.startswith(("Get", "List", "Preview")) for name in names)


async def test_who_did_what_to_which_instance_is_told_newest_first(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        instance_id = await create(channel, "prod")
        issued = await AdminServiceStub(channel).CreateKey(pb.CreateKeyRequest(name="ana", role=pb.ROLE_OPERATOR))
        async with open_channel(running.doors.grpc, token=issued.token) as ana:
            rules = RulesServiceStub(ana)
            request = rules_pb.ActivateScanEngineRequest(
                instance=instance_id, engine="security-center", authorize=True
            )
            await rules.ActivateScanEngine(request)
            with pytest.raises(ServiceError), translated_errors():
                await rules.SwitchScanEngine(rules_pb.SwitchScanEngineRequest(instance="prod", engine="trivy"))
            change = rules_pb.UpdateInstanceRequest(
                instance=instance_pb2.Instance(instance_id=instance_id, region="eu"),
                password="neu",
                update_mask=FieldMask(paths=["region", "password"]),
            )
            await rules.UpdateInstance(change)
        found = await records(channel)
        told = [(one.actor, one.action, one.instance, dict(one.subject), one.outcome) for one in found]
        assert told == [
            ("ana", "RulesService/UpdateInstance", instance_id, {"fields": "region,password"}, "OK"),
            ("ana", "RulesService/SwitchScanEngine", "prod", {"engine": "trivy"}, "ENGINE_NOT_READY"),
            (
                "ana",
                "RulesService/ActivateScanEngine",
                instance_id,
                {"authorize": "True", "engine": "security-center"},
                "OK",
            ),
            ("admin", "AdminService/CreateKey", "", {"name": "ana", "role": "ROLE_OPERATOR"}, "OK"),
            (
                "admin",
                "RulesService/CreateInstance",
                "prod",
                {"name": "prod", "address": "registry.example", "engine": "security-center"},
                "OK",
            ),
        ]
        status = (
            await RulesServiceStub(channel).GetScanEngineStatus(
                rules_pb.GetScanEngineStatusRequest(instance="prod")
            )
        ).engine
        assert status.authorized_by == "admin"  # whoever created it was first


async def test_records_of_an_instance_are_found_by_name_and_id_also_when_it_is_gone(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        instance_id = await create(channel, "prod")
        await create(channel, "other")
        await RulesServiceStub(channel).DeleteInstance(rules_pb.DeleteInstanceRequest(instance=instance_id))
        assert [one.action for one in await records(channel, instance="prod")] == ["RulesService/CreateInstance"]
        assert [one.action for one in await records(channel, instance=instance_id)] == [
            "RulesService/DeleteInstance"
        ]
        await create(channel, "prod")
        assert len(await records(channel, instance="prod")) == 2


async def test_records_come_page_by_page(running: Gateway) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        for number in range(5):
            await create(channel, f"i{number}")
        stub, names, token = AdminServiceStub(channel), list[str](), ""
        while True:
            page = await stub.ListAuditRecords(pb.ListAuditRecordsRequest(page_size=2, page_token=token))
            names += [one.instance for one in page.records]
            token = page.next_page_token
            if not token:
                break
        assert names == ["i4", "i3", "i2", "i1", "i0"]


async def test_no_secret_and_nothing_that_was_not_admitted_is_in_the_log(running: Gateway, database: str) -> None:
    async with open_channel(running.doors.grpc, token=running.admin) as channel:
        await create(channel, "prod")
        viewer = await AdminServiceStub(channel).CreateKey(pb.CreateKeyRequest(name="v", role=pb.ROLE_VIEWER))
        async with open_channel(running.doors.grpc, token=viewer.token) as channel_of_viewer:
            with pytest.raises(ServiceError) as caught, translated_errors():
                await create(channel_of_viewer, "mine")
        assert caught.value.reason == "ROLE_INSUFFICIENT"
    connection = await asyncpg.connect(database)
    try:
        rows = [str(row) for row in await connection.fetch("SELECT * FROM gateway.audit")]
    finally:
        await connection.close()
    assert len(rows) == 2
    for secret in ("geheim", viewer.token, running.admin, "mine"):
        assert not any(secret in row for row in rows)
