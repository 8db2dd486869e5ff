"""The examples of `docs/acr.md`, run as they stand there."""

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
from services.gateway.acr.door import SERVICE
from tests.acr_stage import Stage, acr_stage
from tests.commandline import drydock
from tests.nodes import node_clients, node_program

PAGE = (Path(__file__).parents[2] / "docs" / "acr.md").read_text()
EXAMPLES = dict(re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


@pytest.fixture
async def stage(tmp_path: Path, database: str) -> AsyncIterator[Stage]:
    async with acr_stage(tmp_path / "data", database) as stage:
        yield stage


async def run(stage: Stage, *command: str | Path, **environment: str) -> str:
    account = await stage.key("page", admin.ROLE_CLIENT)
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=subprocess.PIPE,
        env={
            **{name: value for name, value in os.environ.items() if name.lower() not in proxies},
            "ACCESS_KEY_ID": account.access_key_id,
            "ACCESS_KEY_SECRET": account.secret,
            "DRYDOCK_HTTP": stage.endpoint,
            **environment,
        },
    )
    async with asyncio.timeout(90):
        out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


@pytest.mark.slow
async def test_the_python_example_scans_an_image(stage: Stage) -> None:
    assert re.fullmatch(
        r"COMPLETE high: \d+ of [1-9]\d*\n", await run(stage, sys.executable, "-c", EXAMPLES["python"])
    )


@pytest.mark.slow
@pytest.mark.node_clients
async def test_the_node_example_scans_an_image(stage: Stage) -> None:
    clients = node_clients()
    if clients is None:
        pytest.skip("the official Node clients cannot be installed here: see what deploy/node/build.sh says")

    out = await run(stage, node_program(), "-e", EXAMPLES["js"], NODE_PATH=str(clients / "node_modules"))

    assert re.fullmatch(r"COMPLETE high: \d+ of [1-9]\d*\n", out)


@pytest.mark.slow
async def test_the_curl_example_lists_instances(stage: Stage) -> None:
    token = (await asyncio.to_thread(stage.client.running.admin_token_file.read_text)).strip()

    assert stage.instance_id in await run(stage, "sh", "-c", EXAMPLES["sh"], DRYDOCK_TOKEN=token)


@pytest.mark.slow
async def test_the_command_makes_an_access_key(stage: Stage) -> None:
    command = re.search(r"^drydock (key create .*)$", PAGE, re.MULTILINE)
    assert command is not None
    running = stage.client.running

    done = await drydock(
        *command[1].split(), "--server", running.grpc, "--data", str(running.admin_token_file.parent)
    )

    assert re.search(r"access_key_id +DDAK[A-Z0-9]{20}\n", done.stdout), done.stderr
    assert re.search(r"access_key_secret +ddks_\S{43}\n", done.stdout)


def test_the_page_names_every_action() -> None:
    assert [method.name for method in SERVICE.methods if method.name not in PAGE] == []
