"""Engines with every service a process of its own: who tells whom, who allowed what, and who falls silent."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1 import engine_pb2
from drydock.rules.v1 import rules_inner_service_pb2 as inner
from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1.rules_inner_service_pb2_grpc import RulesInnerServiceStub
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2
from services.kernel.rpc.client import open_channel
from services.lab.push import push_image
from tests.acceptance.test_push_to_verdict import an_image
from tests.commandline import Ran, drydock
from tests.processes import TOKEN, Fleet, fleet
from tests.registries import lab_registry
from tests.running import Client, client_of

pytestmark = pytest.mark.slow
IMPATIENT = {"rules_engine_check_seconds": "1", "scanner_self_report_seconds": "0.5"}


async def until(client: Client, type_: str, status: int, engine: str = "security-center") -> engine_pb2.Condition:
    """Waits until a condition of the instance `lab` has a status."""
    request = pb.GetScanEngineStatusRequest(instance="lab", engine=engine)
    async with asyncio.timeout(60):
        while True:
            found = (await RulesServiceStub(client.channel).GetScanEngineStatus(request)).engine.conditions
            if (one := {one.type: one for one in found}[type_]).status == status:
                return one
            await asyncio.sleep(0.1)


async def shell(started: Fleet, token: str, *arguments: str) -> Ran:
    env = {"DRYDOCK_SERVER": started.running.grpc, "DRYDOCK_TOKEN": token}
    return await drydock(*arguments, "--output", "json", env=env)


async def test_a_silent_scanner_makes_its_conditions_unknown_until_one_speaks_again(
    tmp_path: Path, database: str
) -> None:
    async with fleet(
        tmp_path, database, "rules", "rules", "scanner", "notifier", "gateway", **IMPATIENT
    ) as started:
        scanner = next(served for served in started.served if served.role == "scanner")
        await started.start_all()
        async with client_of(started.running) as client, lab_registry() as registry:
            await client.instance(registry.access)
            for type_ in ("RegistryReachable", "AdvisoryDatabaseReady", "RulePacksReady", "Authorized"):
                await until(client, type_, engine_pb2.CONDITION_STATUS_TRUE)
            await scanner.end(signal.SIGKILL)
            silent = await until(client, "AdvisoryDatabaseReady", engine_pb2.CONDITION_STATUS_UNKNOWN)
            assert silent.reason == "NO_SCANNER"
            await scanner.start()
            await until(client, "AdvisoryDatabaseReady", engine_pb2.CONDITION_STATUS_TRUE)
            await until(client, "RulePacksReady", engine_pb2.CONDITION_STATUS_TRUE)


async def test_a_switch_is_somebodys_holds_from_the_next_push_on_and_keeps_the_report_of_before(
    tmp_path: Path, database: str
) -> None:
    async with fleet(tmp_path, database, "rules", "scanner", "notifier", "gateway", **IMPATIENT) as started:
        await started.start_all()
        rules = next(served for served in started.served if served.role == "rules")
        async with client_of(started.running) as client:
            made = await AdminServiceStub(client.channel).CreateKey(
                admin.CreateKeyRequest(name="ana", role=admin.ROLE_OPERATOR)
            )
            where = ("--address", "127.0.0.1:1", "--plain-http", "--engine", "security-center")
            created = await shell(started, made.token, "instance", "create", "lab", *where)
            instance_id = created.json["instance_id"]
            async with lab_registry(notify=await client.webhook(instance_id)) as registry:
                await client.move(instance_id, registry.access.address)
                digest = await push_image(registry.access, "team/app", "1.0", an_image())
                ours = await client.wait(instance_id, "team/app", "1.0", digest=digest)
                assert (ours.state, ours.engine) == (scan_pb2.STATE_COMPLETE, "SECURITY_CENTER")

                refused = await shell(started, made.token, "instance", "switch", "lab", "trivy")
                assert (refused.status, refused.error["reason"]) == (1, "ENGINE_NOT_READY")
                async with a_scanner_with_trivy(rules.grpc):
                    await until(client, "TrivyReady", engine_pb2.CONDITION_STATUS_TRUE, "trivy")
                    switched = await shell(started, made.token, "instance", "switch", "lab", "trivy")
                    assert (switched.status, switched.json["in_use"]) == (0, True), switched.stderr
                    await push_image(registry.access, "team/app", "1.0", an_image())
                    async with asyncio.timeout(30):
                        while len(tasks := await client.tasks(instance_id)) < 2:
                            await asyncio.sleep(0.1)
                assert [task.engine for task in tasks] == ["TRIVY", "SECURITY_CENTER"]
                image = ("lab", "team/app:1.0", "--engine", "security-center")
                found = await shell(started, made.token, "findings", "list", *image)
                assert "CVE-2019-10906" in {one["id"] for one in found.json}
                assert (await shell(started, made.token, "report", *image)).json["engine"][
                    "name"
                ] == "SECURITY_CENTER"
                back = await shell(started, made.token, "instance", "switch", "lab", "security-center")
                assert (back.status, back.json["authorized_by"]) == (0, "ana"), back.stderr
                admins = started.admin_token_file.read_text().strip()
                audit = (await shell(started, admins, "audit", "--instance", "lab")).json
                switches = [one for one in audit if one["action"] == "RulesService/SwitchScanEngine"]
                assert [(one["actor"], one["outcome"]) for one in switches] == [
                    ("ana", "OK"),
                    ("ana", "OK"),
                    ("ana", "ENGINE_NOT_READY"),
                ]


@asynccontextmanager
async def a_scanner_with_trivy(rules: str) -> AsyncIterator[None]:
    """Tells rules, as a scanner on another machine would, that there is a working Trivy."""
    report = engine_pb2.ScannerReport(node_id="another", valid_seconds=60.0)
    report.parts.add(part="TRIVY", ready=True, version="0.72.0", database_version="1")
    async with open_channel(rules, token=TOKEN) as channel:
        await RulesInnerServiceStub(channel).ReportScanner(inner.ReportScannerRequest(report=report))
        yield
