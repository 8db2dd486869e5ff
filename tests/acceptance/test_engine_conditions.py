"""Conditions of an engine, each made false and true again by breaking the real thing under a whole Drydock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from pydantic import SecretStr

from drydock.rules.v1 import engine_pb2
from drydock.rules.v1 import rules_service_pb2 as pb
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2
from services.kernel.model.access import RegistryAccess
from services.lab.content import Content
from services.lab.faults import Disconnect
from services.lab.push import push_image
from services.lab.registry import LabRegistry, serve_registry
from services.scanner.advisories.files import AdvisoryFiles
from tests.builders.images import an_image
from tests.commandline import Ran, drydock
from tests.running import Client, client_of, running_drydock

pytestmark = pytest.mark.slow

OLD, NEW = "old-password", "new-password"
TRUE, FALSE, UNKNOWN = (
    engine_pb2.CONDITION_STATUS_TRUE,
    engine_pb2.CONDITION_STATUS_FALSE,
    engine_pb2.CONDITION_STATUS_UNKNOWN,
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Looks come every second, so that the schedule itself is what notices."""
    (tmp_path / "rules").mkdir()
    monkeypatch.setenv("DRYDOCK_RULES_ENGINE_CHECK_SECONDS", "1")
    monkeypatch.setenv("DRYDOCK_SCANNER_REGISTRY_ATTEMPTS", "2")
    monkeypatch.setenv("DRYDOCK_SCANNER_SELF_REPORT_SECONDS", "0.5")
    monkeypatch.setenv("DRYDOCK_SCANNER_MALWARE_RULES", str(tmp_path / "rules"))
    monkeypatch.setenv("DRYDOCK_RULES_ENTITLEMENT_FILE", str(tmp_path / "entitlement.toml"))
    (tmp_path / "entitlement.toml").write_text("[security-center]\nat-most = 10\n")


class Scene:
    """A Drydock, and the instance `lab` on a registry that a test may break."""

    def __init__(self, client: Client, data: Path, registry: LabRegistry, users: dict[str, str]) -> None:
        self.client = client
        self.data = data
        self.registry = registry
        self.users = users
        self.rules = RulesServiceStub(client.channel)

    @property
    def access(self) -> RegistryAccess:
        return RegistryAccess(
            address=self.registry.address,
            plain_http=True,
            username="lab",
            password=SecretStr(self.users.get("lab", "")),
        )

    async def engine(self, engine: str = "", instance: str = "lab") -> engine_pb2.ScanEngine:
        request = pb.GetScanEngineStatusRequest(instance=instance, engine=engine)
        return (await self.rules.GetScanEngineStatus(request)).engine

    async def until(
        self, type_: str, status: int, reason: str = "", *, instance: str = "lab"
    ) -> engine_pb2.Condition:
        """Waits until the schedule has noticed, and returns the condition."""
        async with asyncio.timeout(30):
            while True:
                conditions = (await self.engine("security-center", instance)).conditions
                found = {one.type: one for one in conditions}[type_]
                if found.status == status and reason in ("", found.reason):
                    return found
                await asyncio.sleep(0.1)

    async def active(self) -> None:
        """Waits until everything holds."""
        async with asyncio.timeout(30):
            while (await self.engine("security-center")).state != engine_pb2.ENGINE_STATE_ACTIVE:
                await asyncio.sleep(0.1)

    async def push(self, tag: str) -> str:
        return await push_image(self.access, "team/app", tag, an_image(tag))

    async def scan(self, tag: str) -> Ran:
        return await self.run("task", "create", "lab", f"team/app:{tag}", "--wait", "60s", "--output", "json")

    async def run(self, *arguments: str, stdin: str = "") -> Ran:
        token = self.client.running.admin_token_file.read_text().strip()
        env = {"DRYDOCK_SERVER": self.client.running.grpc, "DRYDOCK_TOKEN": token}
        return await drydock(*arguments, env=env, stdin=stdin)

    async def measured(self, condition: str, status: str) -> float:
        """How many instances on SECURITY_CENTER `/metrics` says have a condition in a status."""
        labels = f'{{condition="{condition}",engine="SECURITY_CENTER",status="{status}"}}'
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://{self.client.running.monitoring}/metrics") as answer,
        ):
            lines = (await answer.text()).splitlines()
        name = f"drydock_rules_engine_conditions{labels} "
        return next(float(line.removeprefix(name)) for line in lines if line.startswith(name))


@pytest.fixture
async def scene(tmp_path: Path, database: str) -> AsyncIterator[Scene]:
    users = {"lab": OLD}
    async with AsyncExitStack() as stack:
        data = tmp_path / "data"
        running = await stack.enter_async_context(running_drydock(data, database))
        client = await stack.enter_async_context(client_of(running))
        registry = await stack.enter_async_context(serve_registry(users=users))
        scene = Scene(client, data, registry, users)
        await scene.push("1.0")
        await client.instance(scene.access)
        await scene.active()
        yield scene


async def test_revoked_credentials_show_and_new_ones_count_without_a_restart(scene: Scene) -> None:
    assert (await scene.scan("1.0")).json["state"] == "COMPLETE"
    scene.users["lab"] = NEW
    revoked = await scene.until("CredentialsValid", FALSE, "REGISTRY_UNAUTHORIZED")
    assert "refused the user name and password" in revoked.message
    reachable = {one.type: one.status for one in (await scene.engine()).conditions}["RegistryReachable"]
    assert reachable == TRUE
    await scene.push("2.0")
    refused = await scene.scan("2.0")
    assert (refused.status, refused.error["reason"]) == (3, "REGISTRY_UNAUTHORIZED")

    updated = await scene.run("instance", "update", "lab", "--password-stdin", stdin=NEW + "\n")
    assert updated.status == 0, updated.stderr
    done = await scene.scan("2.0")
    assert done.json["state"] == "COMPLETE", done.stderr
    proven = await scene.until("CredentialsValid", TRUE, "PULLED")
    assert proven.last_transition_time.ToDatetime() > revoked.last_transition_time.ToDatetime()


async def test_an_advisory_file_that_is_gone_shows_until_it_is_back(scene: Scene) -> None:
    current = AdvisoryFiles(scene.data).current()
    assert current is not None
    aside = current.with_suffix(".aside")
    current.rename(aside)
    missing = await scene.until("AdvisoryDatabaseReady", FALSE, "ADVISORIES_UNREADABLE")
    assert "is missing or cut off" in missing.message
    aside.rename(current)
    await scene.until("AdvisoryDatabaseReady", TRUE, "SAMPLE_ADVISORIES")
    await scene.active()


async def test_a_broken_file_of_rules_shows_until_it_is_mended(scene: Scene, tmp_path: Path) -> None:
    file = tmp_path / "rules" / "mine.yar"
    file.write_text("rule mine { condition: nonsense }\n")
    broken = await scene.until("RulePacksReady", FALSE, "RULE_FILE_BROKEN")
    assert "mine.yar" in broken.message
    file.write_text("rule mine { condition: false }\n")
    await scene.until("RulePacksReady", TRUE, "RULE_FILES_CHANGED")
    file.unlink()
    await scene.until("RulePacksReady", TRUE, "READY")
    await scene.active()


async def test_an_entitlement_that_no_longer_covers_the_instance_shows(scene: Scene, tmp_path: Path) -> None:
    record = tmp_path / "entitlement.toml"
    record.write_text('[security-center]\ninstances = ["other"]\n')
    await scene.until("Entitled", FALSE, "NOT_ENTITLED")
    record.unlink()
    await scene.until("Entitled", UNKNOWN, "ENTITLEMENT_UNREADABLE")
    record.write_text('[security-center]\ninstances = ["lab"]\n')
    await scene.until("Entitled", TRUE, "ENTITLED")
    # What shows stops no scan that the instance's own engine is asked for.
    record.unlink()
    assert (await scene.scan("1.0")).json["state"] == "COMPLETE"


async def test_a_registry_that_stops_shows_and_loses_no_scan(scene: Scene) -> None:
    content = Content()
    instance_id = await scene.client.instance(RegistryAccess(address="127.0.0.1:1", plain_http=True), "second")
    webhook = await scene.client.webhook(instance_id)
    async with serve_registry(notify=webhook, content=content) as registry:
        access = RegistryAccess(address=registry.address, plain_http=True)
        await scene.client.move(instance_id, registry.address)
        await scene.until("RegistryReachable", TRUE, instance="second")
        registry.faults.add("/v2/*/blobs/*", Disconnect(), methods=("GET",))
        digest = await push_image(access, "team/app", "1.0", an_image("second"))
        async with asyncio.timeout(30):
            while [task.state for task in await scene.client.tasks(instance_id)] != [scan_pb2.STATE_RETRYING]:
                await asyncio.sleep(0.05)

    stopped = await scene.until("RegistryReachable", FALSE, instance="second")
    assert stopped.reason == "REGISTRY_UNREACHABLE"
    async with asyncio.timeout(30):
        while await scene.measured("RegistryReachable", "False") != 1:
            await asyncio.sleep(0.2)
    [waiting] = await scene.client.tasks(instance_id)
    assert waiting.state in (scan_pb2.STATE_RUNNING, scan_pb2.STATE_RETRYING)  # tried again, and again

    async with serve_registry(port=int(access.address.rpartition(":")[2]), content=content):
        await scene.until("RegistryReachable", TRUE, instance="second")
        ended = await scene.client.wait(instance_id, "team/app", "1.0", digest=digest)
        assert (ended.task_id, ended.state) == (waiting.task_id, scan_pb2.STATE_COMPLETE)
        async with asyncio.timeout(30):
            while await scene.measured("RegistryReachable", "True") != 2:
                await asyncio.sleep(0.2)
