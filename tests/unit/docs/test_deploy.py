"""What lies in `deploy/` speaks of roles, ports and settings that there are."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.gateway.settings import GatewaySettings
from services.kernel.monitoring import serve_monitoring
from services.kernel.run import Readiness
from services.kernel.settings import KernelSettings, refuse_unknown
from services.processes.roles import LATER, PEERS, Role
from services.processes.settings import ProcessSettings
from services.settings import SETTINGS

DEPLOY = Path(__file__).parents[3] / "deploy"
COMPOSE = (DEPLOY / "compose.yaml").read_text()
FILES = [path for path in DEPLOY.rglob("*") if path.is_file() and "secrets" not in path.parts]


def listening() -> dict[str, str]:
    """Every address that a process listens on by default, by its variable."""
    return {
        f"{settings.model_config.get('env_prefix', '')}{name}".upper(): str(field.default)
        for settings in (ProcessSettings, GatewaySettings)
        for name, field in settings.model_fields.items()
        if name.endswith("_listen")
    }


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_every_setting_that_is_named_is_one(file: Path) -> None:
    named = set(re.findall(r"\bDRYDOCK_[A-Z_]*[A-Z]\b(?!…|_)", file.read_text()))
    refuse_unknown(named, SETTINGS)


def test_every_setting_of_a_process_is_explained() -> None:
    text = (DEPLOY / "README.md").read_text()
    for settings in (KernelSettings, ProcessSettings):
        for field in settings.model_fields:
            assert f"`DRYDOCK_{field.upper()}`" in text, field


def test_compose_runs_every_role_once_and_migrates_before() -> None:
    commands = re.findall(r"^  (\w+):\n    <<: \*drydock\n    command: \[(.*)\]$", COMPOSE, re.MULTILINE)
    served = {name: command for name, command in commands if name != "migrate"}
    assert served == {role.value: f'"serve", "{role.value}"' for role in Role}
    assert dict(commands)["migrate"] == '"migrate"'
    assert "condition: service_completed_successfully" in COMPOSE


def test_compose_finds_every_peer_where_it_listens() -> None:
    for role in {peer for peers in (*PEERS.values(), *LATER.values()) for peer in peers}:
        port = ProcessSettings().grpc_listen(role).rpartition(":")[2]
        assert f"DRYDOCK_{role.value.upper()}_ADDRESS: {role.value}:{port}" in COMPOSE


def test_the_image_listens_where_it_is_expected_and_its_health_is_asked_for_there() -> None:
    said = dict(re.findall(r"(DRYDOCK_\w+_LISTEN)=0\.0\.0\.0:(\d+)", (DEPLOY / "Dockerfile").read_text()))
    assert said == {name: address.rpartition(":")[2] for name, address in listening().items()}
    ports = re.search(r"PORTS = \(([\d, ]+)\)", (DEPLOY / "ready").read_text())
    assert ports is not None
    monitored = [port for name, port in said.items() if "MONITORING" in name]
    assert ports[1].split(", ") == monitored


async def test_the_health_check_follows_readiness() -> None:
    readiness = Readiness()
    part = readiness.add("rules")
    statuses: list[int] = []
    program: tuple[str, ...] = ()
    async with serve_monitoring(readiness, CollectorRegistry(), "127.0.0.1:0") as address:
        for ready in (False, True):
            part.set(ready)
            program = (sys.executable, str(DEPLOY / "ready"), address.rpartition(":")[2])
            statuses.append(await (await asyncio.create_subprocess_exec(*program)).wait())
    statuses.append(await (await asyncio.create_subprocess_exec(*program)).wait())
    assert statuses == [1, 0, 1]


def test_the_image_runs_as_somebody_who_is_not_root() -> None:
    [user] = re.findall(r"^USER (\d+):\d+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)
    assert int(user) > 0


def test_secrets_are_made_once_and_shut_away(tmp_path: Path) -> None:
    shutil.copy(DEPLOY / "make-secrets.sh", tmp_path)
    contents = []
    for _ in range(2):
        subprocess.run([tmp_path / "make-secrets.sh"], check=True)
        contents.append({path.name: path.read_text().strip() for path in (tmp_path / "secrets").iterdir()})
    assert contents[0] == contents[1]
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert set(contents[0]) == set(re.findall(r"file: \./secrets/(\w+)", COMPOSE))
    assert re.fullmatch(r"ddk_[A-Za-z0-9_-]{43}", contents[0]["admin_token"])
    assert re.fullmatch(r"[0-9a-f]{64}", contents[0]["secret_key"])


COMPOSE_PROGRAM = shutil.which("docker-compose")


@pytest.mark.skipif(COMPOSE_PROGRAM is None, reason="needs docker-compose")
def test_compose_itself_finds_nothing_wrong(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY, tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets"))
    subprocess.run([tmp_path / "deploy" / "make-secrets.sh"], check=True)
    ran = subprocess.run(
        [str(COMPOSE_PROGRAM), "-f", "deploy/compose.yaml", "config", "--services"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert set(ran.stdout.split()) == {"postgres", "kafka", "migrate", *(role.value for role in Role)}
