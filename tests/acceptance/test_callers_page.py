"""The examples of `docs/callers.md`, run as they stand there, and how each kind of caller is refused."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from services.gateway.api import Role
from tests.acr_stage import Stage, acr_stage
from tests.callers import BUILD, go_program, tools
from tests.commandline import drydock

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
"""A user's first program in Go compiles gRPC: minutes, once."""

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "callers.md").read_text()
EXAMPLES = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))
VENV = Path(sys.executable).parent
OVERSIZED = """
{ printf '{"image": {"tag": "'; head -c 5000000 /dev/zero | tr '\\0' x; printf '"}}'; } |
  grpcurl -plaintext -H "authorization: Bearer $DRYDOCK_TOKEN" -d @ "$DRYDOCK_SERVER" \
    drydock.scanner.v1.ScannerService/GetImageStatus
"""
SCANNED = re.compile(r"STATE_COMPLETE .*HIGH|STATE_COMPLETE .*MEDIUM")


@pytest.fixture
async def stage(tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with acr_stage(tmp_path / "data", database) as stage:
        yield stage


async def key_of(stage: Stage, role: Role, name: str = "page") -> str:
    """Makes a key that is limited to the instance of the stage, as the page advises."""
    request = admin.CreateKeyRequest(
        name=name, role=admin.Role.Value(f"ROLE_{role.value}"), instance=stage.instance_id
    )
    return (await AdminServiceStub(stage.client.channel).CreateKey(request)).token


async def run(
    stage: Stage, token: str, *command: str | Path, folder: Path | None = None, path: str = "", **environment: str
) -> tuple[int, str]:
    """Runs an example; returns its status and all that it wrote."""
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={
            **inherited,
            "PATH": f"{path}:{VENV}:{os.environ['PATH']}",
            "DRYDOCK_SERVER": stage.client.running.grpc,
            "DRYDOCK_HTTP": stage.endpoint,
            "DRYDOCK_TOKEN": token,
            "INSTANCE": stage.instance_id,
            **environment,
        },
    )
    async with asyncio.timeout(600):
        out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


async def test_the_python_example_scans_an_image(stage: Stage, tmp_path: Path) -> None:
    token = await key_of(stage, Role.CLIENT)
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    (tmp_path / "stubs").mkdir()
    status, out = await run(stage, token, "sh", "-ec", EXAMPLES["stubs"], folder=tmp_path)
    assert status == 0, out

    stubs = str(tmp_path / "stubs")
    status, out = await run(stage, token, sys.executable, "-c", EXAMPLES["python"], PYTHONPATH=stubs)

    assert status == 0, out
    assert SCANNED.search(out), out


async def test_the_go_example_scans_an_image(stage: Stage, tmp_path: Path) -> None:
    folder, program = tools(), go_program()
    token = await key_of(stage, Role.CLIENT)
    (tmp_path / "protos").symlink_to(ROOT / "protos")
    pins = (
        (BUILD.parent / "go.mod").read_text().replace("module drydock/deploy/callers", "module example.com/caller")
    )
    (tmp_path / "go.mod").write_text(pins)
    (tmp_path / "go.sum").write_text((BUILD.parent / "go.sum").read_text())
    (tmp_path / "main.go").write_text(EXAMPLES["go"])
    status, out = await run(
        stage, token, "sh", "-ec", EXAMPLES["buf"], folder=tmp_path, path=str(folder), BUF_CACHE_DIR=str(tmp_path)
    )
    assert status == 0, out

    build = {"GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    status, out = await run(stage, token, program, "run", "-buildvcs=false", ".", folder=tmp_path, **build)

    assert status == 0, out
    assert SCANNED.search(out), out


async def test_the_grpcurl_example_works_by_reflection(stage: Stage) -> None:
    folder, token = tools(), await key_of(stage, Role.CLIENT)

    status, out = await run(stage, token, "sh", "-ec", EXAMPLES["grpcurl"], path=str(folder))

    assert status == 0, out
    assert "drydock.acr.v20181201.ContainerRegistry" in out
    assert "rpc CreateScanTask" in out
    assert '"task_id"' in out


async def test_grpcurl_gets_the_right_code_and_nothing_else(stage: Stage) -> None:
    folder, viewer = tools(), await key_of(stage, Role.VIEWER)
    hook = await key_of(stage, Role.WEBHOOK, "hook2")
    create = EXAMPLES["grpcurl"].partition("ScannerService\n")[2]
    listing = EXAMPLES["grpcurl"].partition("\n")[0]
    for command, token, wanted in (
        (create, viewer, "Code: PermissionDenied"),
        (create, viewer[:-1] + ("a" if viewer[-1] != "a" else "b"), "Unauthenticated"),
        (listing, "", "Unauthenticated"),
        (listing, hook, "PermissionDenied"),
    ):
        status, out = await run(stage, token, "sh", "-c", command, path=str(folder))
        assert status != 0, out
        assert wanted in out
        assert viewer not in out
        assert hook not in out
        assert "Traceback" not in out
    status, out = await run(stage, viewer, "sh", "-c", OVERSIZED, path=str(folder))
    assert "Code: ResourceExhausted" in out
    assert len(out) < 1000


async def test_the_curl_example_lists_the_instance_of_its_key(stage: Stage) -> None:
    token = await key_of(stage, Role.VIEWER)

    status, out = await run(stage, token, "sh", "-ec", EXAMPLES["curl"])

    assert status == 0, out
    assert stage.instance_id in out


async def test_the_commands_make_list_rotate_and_revoke_a_limited_key(stage: Stage) -> None:
    command = re.search(r"^drydock (key create .*)$", PAGE, re.MULTILINE)
    assert command is not None
    running = stage.client.running
    env = {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(running.admin_token_file.parent)}
    words = command[1].replace("--instance prod", f"--instance {stage.instance_id}").split()

    made = await drydock(*words, "--output", "json", env=env)
    assert made.status == 0, made.stderr
    assert made.json["scopes"] == [{"instance": stage.instance_id, "namespaces": []}]
    as_ci = {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_TOKEN": made.json["token"]}
    seen = await drydock("instance", "list", "--output", "json", env=as_ci)
    assert [one["instance_id"] for one in seen.json] == [stage.instance_id]
    listed = await drydock("key", "list", env=env)
    assert stage.instance_id in next(line for line in listed.stdout.splitlines() if line.startswith("ci "))
    rotated = await drydock("key", "rotate", "ci", "--overlap", "0s", "--output", "json", env=env)
    assert rotated.json["token"] != made.json["token"]
    ended = await drydock("instance", "list", "--output", "json", env=as_ci)
    assert ended.error["reason"] == "TOKEN_UNKNOWN"
    revoked = await drydock("key", "revoke", "ci", env=env)
    assert revoked.status == 0, revoked.stderr
    whole_and_part = ("--instance", "prod", "--instance", "prod/team")
    wrong = await drydock("key", "create", "x", "--role", "viewer", *whole_and_part, env=env)
    assert wrong.status == 2
