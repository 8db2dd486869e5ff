"""Two engines for real on one instance: chosen, switched, broken and mended, with both reports readable."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from drydock.rules.v1 import engine_pb2
from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2
from services.lab.push import push_image
from tests.commandline import Ran, drydock
from tests.integration.test_trivy import IMAGE, Stage, stage
from tests.registries import lab_registry
from tests.running import Client, client_of, running_drydock

pytestmark = [pytest.mark.slow, pytest.mark.real_trivy]
__all__ = ["stage"]


class Shell:
    """Types commands at one server."""

    def __init__(self, client: Client) -> None:
        token = client.running.admin_token_file.read_text().strip()
        self._env = {"DRYDOCK_SERVER": client.running.grpc, "DRYDOCK_TOKEN": token}

    async def __call__(self, *arguments: str) -> Ran:
        return await drydock(*arguments, "--output", "json", env=self._env)


async def condition(
    client: Client, type_: str, status: int, engine: str, instance: str = "lab"
) -> engine_pb2.Condition:
    request = pb.GetScanEngineStatusRequest(instance=instance, engine=engine)
    async with asyncio.timeout(60):
        while True:
            found = (await RulesServiceStub(client.channel).GetScanEngineStatus(request)).engine.conditions
            if (one := {one.type: one for one in found}[type_]).status == status:
                return one
            await asyncio.sleep(0.1)


async def test_an_instance_is_switched_between_real_engines_and_keeps_what_both_found(
    stage: Stage, trivy: Path, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "bin" / "trivy"
    program.parent.mkdir()
    shutil.copy(trivy / "trivy", program)
    monkeypatch.setenv("DRYDOCK_TRIVY", str(program))
    monkeypatch.setenv("DRYDOCK_SCANNER_SELF_REPORT_SECONDS", "0.5")
    async with (
        running_drydock(stage.folder / "data", database) as running,
        client_of(running) as client,
        lab_registry() as registry,
    ):
        shell = Shell(client)
        await push_image(registry.access, "team/app", "1.0", IMAGE)
        where = ("--address", registry.access.address, "--plain-http")
        await shell("instance", "create", "first", *where, "--engine", "security-center")
        await condition(client, "TrivyReady", engine_pb2.CONDITION_STATUS_TRUE, "trivy", "first")
        created = await shell("instance", "create", "lab", *where)
        instance_id = created.json["instance_id"]
        assert created.json["engine"] == "TRIVY"  # a scanner has it, and nobody named another

        await condition(client, "RulePacksReady", engine_pb2.CONDITION_STATUS_TRUE, "security-center")
        refused = await shell("instance", "switch", "lab", "security-center")
        assert refused.error["metadata"]["conditions"] == "Authorized"
        other = await shell("task", "create", "lab", "team/app:1.0", "--engine", "security-center")
        assert (other.status, other.error["reason"]) == (3, "ENGINE_NOT_READY")

        theirs = await shell("task", "create", "lab", "team/app:1.0", "--wait", "2m")
        assert (theirs.json["state"], theirs.json["engine"]) == ("COMPLETE", "TRIVY"), theirs.stderr
        active = await shell("instance", "activate", "lab", "security-center", "--authorize")
        assert (active.status, active.json["state"]) == (0, "ACTIVE"), active.stdout
        assert (await shell("instance", "switch", "lab", "security-center")).json["in_use"]
        ours = await shell("task", "create", "lab", "team/app:1.0", "--wait", "2m")
        assert (ours.json["state"], ours.json["engine"]) == ("COMPLETE", "SECURITY_CENTER"), ours.stderr

        image = ("lab", "team/app:1.0")
        kinds = {}
        for engine, name in (("trivy", "TRIVY"), ("security-center", "SECURITY_CENTER")):
            report = (await shell("report", *image, "--engine", engine)).json
            assert report["engine"]["name"] == name
            kinds[name] = {
                one["kind"] for one in (await shell("findings", "list", *image, "--engine", engine)).json
            }
        assert "BASELINE_RISK" in kinds["SECURITY_CENTER"] - kinds["TRIVY"]

        program.unlink()
        missing = await condition(client, "TrivyReady", engine_pb2.CONDITION_STATUS_FALSE, "trivy")
        assert missing.reason == "TRIVY_MISSING"
        assert (await shell("instance", "switch", "lab", "trivy")).error["reason"] == "ENGINE_NOT_READY"
        shutil.copy(trivy / "trivy", program)
        await condition(client, "TrivyReady", engine_pb2.CONDITION_STATUS_TRUE, "trivy")
        assert (await shell("instance", "switch", "lab", "trivy")).json["in_use"]
        both = await shell("task", "create", "lab", "team/app:1.0", "--engine", "all", "--wait", "2m")
        assert (both.json["state"], both.json["engine"]) == ("COMPLETE", "ALL"), both.stderr
        tasks = await client.tasks(instance_id)
        assert {task.state for task in tasks} == {scan_pb2.STATE_COMPLETE}
