"""What `docs/gate.md` tells callers to type is run, as it stands there, against a Drydock."""

from __future__ import annotations

import asyncio
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from services.kernel.model.access import RegistryAccess
from services.lab.image import build_image, write_layout
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.lab.registry import serve_registry
from tests.callers import tools
from tests.commandline import PROGRAM, drydock
from tests.running import running_drydock

PAGE = (Path(__file__).parents[2] / "docs" / "gate.md").read_text()
ROOT = Path(__file__).parents[2]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


class Desk:
    """A folder with the page's files, beside a Drydock whose instance `prod` has `team/app:1.0`, scanned."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self.folder = folder
        self._env = {**os.environ, **env, "PYTHONPATH": str(ROOT / "protos" / "gen"), "NO_COLOR": "1"}

    async def run(self, *command: str) -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=self.folder,
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            stdout, stderr = await process.communicate()
        return process.returncode or 0, stdout.decode(), stderr.decode()


@pytest.fixture
async def desk(tmp_path: Path, database: str) -> AsyncIterator[Desk]:
    metadata = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
    image = build_image(
        [LayerBuilder().file("lib/site-packages/Jinja2-2.10.dist-info/METADATA", metadata).build()]
    )
    [vex], [exempt] = blocks("json"), blocks("toml")
    (tmp_path / "team.vex.json").write_text(vex)
    (tmp_path / "exempt.toml").write_text(exempt)
    write_layout(tmp_path / "image", {"1.0": image})
    async with running_drydock(tmp_path / "data", database) as running, serve_registry() as registry:
        token = running.admin_token_file.read_text().strip()
        env = {"DRYDOCK_SERVER": running.grpc, "DRYDOCK_TOKEN": token, "DRYDOCK_DATA_DIR": str(tmp_path / "data")}
        await push_image(RegistryAccess(address=registry.address, plain_http=True), "team/app", "1.0", image)
        where = ("--address", registry.address, "--plain-http", "--engine", "security-center")
        assert (await drydock("instance", "create", "prod", *where, env=env)).status == 0
        assert (await drydock("task", "create", "prod", "team/app:1.0", "--wait", "30s", env=env)).status == 0
        yield Desk(tmp_path, env)


async def test_its_commands_give_verdicts(desk: Desk) -> None:
    [commands] = blocks("sh")
    ends = {}
    for line in commands.splitlines():
        words = shlex.split(line)
        assert words[0] == "drydock"
        status, stdout, stderr = await desk.run(str(PROGRAM), *words[1:])
        ends[line] = status
        assert status in (1, 5), (line, status, stdout, stderr)
        assert "FAIL" in stdout or "UNDECIDED" in stdout
        if "--vex" in line:
            assert '"source": "EXEMPTION"' in stdout
            assert '"source": "VEX"' in stdout
    assert len(ends) == 4


async def test_its_program_watches_and_gates(desk: Desk) -> None:
    [program] = blocks("python")
    status, stdout, stderr = await desk.run(sys.executable, "-c", program)
    assert status == 0, stderr
    first, verdict = stdout.splitlines()
    assert first == "STATE_COMPLETE 1/1"
    assert verdict.startswith(("DECISION_FAIL", "DECISION_UNDECIDED"))


@pytest.mark.timeout(900)  # grpcurl is built once for each user
async def test_its_line_for_grpcurl_waits(desk: Desk) -> None:
    [line] = blocks("grpcurl")
    folder = await asyncio.to_thread(tools)
    status, stdout, stderr = await desk.run("sh", "-c", f"PATH={folder}:$PATH; {line}")
    assert status == 0, stderr
    assert "STATE_COMPLETE" in stdout
