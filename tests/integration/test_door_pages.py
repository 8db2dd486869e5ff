"""The lines for curl of `docs/webhooks.md` and `docs/harbor.md`, run as they stand there, against a Drydock."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

import pytest

from services.kernel.model.access import RegistryAccess
from services.lab.image import build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.lab.registry import serve_registry
from tests.commandline import drydock
from tests.running import running_drydock

DOCS = Path(__file__).parents[2] / "docs"
METADATA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"


def the_lines(page: str) -> str:
    [lines] = re.findall(r"^```curl\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    return str(lines)


async def typed(lines: str, **variables: str) -> str:
    proxies = {"http_proxy", "https_proxy", "no_proxy"}
    inherited = {name: value for name, value in os.environ.items() if name.lower() not in proxies}
    process = await asyncio.create_subprocess_exec(
        *("sh", "-ec", lines),
        env={**inherited, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        out, _ = await process.communicate()
    assert process.returncode == 0, out
    return out.decode()


async def test_what_the_page_of_webhooks_sends_is_scanned(tmp_path: Path, database: str) -> None:
    image = build_image([LayerBuilder().file("srv/Jinja2-2.10.dist-info/METADATA", METADATA).build()])
    async with serve_registry() as registry, running_drydock(tmp_path / "data", database) as running:
        access = RegistryAccess(address=registry.address, plain_http=True)
        digest = await push_image(access, "team/app", "1.0", image)
        env = {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(tmp_path / "data")}
        where = ("--address", registry.address, "--plain-http", "--engine", "security-center", "--output", "json")
        made = (await drydock("instance", "create", "prod", *where, env=env)).json

        said = await typed(
            the_lines("webhooks.md"),
            HTTP=f"http://{running.http}",
            INSTANCE_ID=made["instance_id"],
            TOKEN=made["webhook_token"],
            DIGEST=digest,
        )

        assert '"accepted":1' in said
        async with asyncio.timeout(60):
            while True:  # until the rule has heard of it, there is no task to wait for
                asked = await drydock(
                    "status", "prod", "team/app:1.0", "--wait", "60s", "--output", "json", env=env
                )
                if asked.status == 0:
                    break
        assert asked.json["digest"] == digest


async def test_what_the_page_of_harbor_asks_for_is_answered(
    tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = build_image([LayerBuilder().file("srv/Jinja2-2.10.dist-info/METADATA", METADATA).build()])
    async with serve_registry() as registry:
        listed = f"http://{registry.address}"
        monkeypatch.setenv("DRYDOCK_GATEWAY_HARBOR_REGISTRIES", f"{listed}=harbor")
        async with running_drydock(tmp_path / "data", database) as running:
            access = RegistryAccess(address=registry.address, plain_http=True)
            digest = await push_image(access, "library/app", "1.0", image)
            env = {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_DATA_DIR": str(tmp_path / "data")}
            where = ("--address", registry.address, "--plain-http", "--engine", "security-center")
            await drydock("instance", "create", "harbor", *where, "--no-default-rule", env=env)
            made = await drydock("key", "create", "harbor", "--role", "client", "--output", "json", env=env)
            variables = {
                "TOKEN": made.json["token"],
                "AT": f"http://{running.http}/harbor/api/v1",
                "REGISTRY": listed,
                "DIGEST": digest,
            }
            async with asyncio.timeout(60):
                while True:  # the scan is shared: asked for again, it is there
                    said = await typed(the_lines("harbor.md"), **variables)
                    answers = re.findall(r"HTTP/1\.1 (\d+)", said)
                    assert set(answers) <= {"302", "200"}, said
                    if answers == ["200", "200"]:
                        break
    assert '"name":"Drydock"' in said
    assert "CVE-2019-10906" in said
    assert '"media_type":"application/spdx+json"' in said
