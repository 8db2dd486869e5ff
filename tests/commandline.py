"""Runs the console script as a process of its own, as people do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from services.standalone import Running

PROGRAM = Path(sys.executable).with_name("drydock")
_LOOPBACK = "127.0.0.1:0"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        """The error object of `--output json`."""
        return json.loads(self.stderr)["error"]


async def drydock(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "", seconds: float = 60
) -> Ran:
    """Runs `drydock` with an environment that holds nothing of ours but `env`."""
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=_environment(env or {}),
    )
    try:
        async with asyncio.timeout(seconds):
            stdout, stderr = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ran(status=process.returncode or 0, stdout=stdout.decode(), stderr=stderr.decode())


@asynccontextmanager
async def drydock_up(
    data: Path, database_url: str, *arguments: str, environment: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Running]:
    """Runs `drydock up` on free ports until the end of the block; its log lies beside the data."""
    env = _environment({"DRYDOCK_DATABASE_URL": database_url, **environment})
    doors = [word for door in ("--grpc", "--http", "--monitoring") for word in (door, _LOOPBACK)]
    command = (str(PROGRAM), "up", "--data", str(data), *doors, *arguments)
    log = data.with_name(f"{data.name}.log")
    with log.open("wb") as errors:
        async with running_program(*command, env=env, stderr=errors) as process:
            try:
                async with asyncio.timeout(60):
                    running = await _announced(process, data)
            except Exception as error:
                raise AssertionError(log.read_text(errors="replace")[-4000:]) from error
            yield running


@asynccontextmanager
async def running_program(
    *command: str, env: Mapping[str, str] | None = None, stderr: Any = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs a program until the end of the block; it is asked to stop, and killed when it does not."""
    process = await asyncio.create_subprocess_exec(
        *command, env=env, stdout=asyncio.subprocess.PIPE, stderr=stderr
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _announced(process: asyncio.subprocess.Process, data: Path) -> Running:
    """Reads where the doors are from what `up` prints."""
    assert process.stdout is not None
    places: dict[str, str] = {}
    while "token" not in places:
        line = (await process.stdout.readline()).decode()
        assert line, "drydock up ended before it was ready"
        name, _, place = line.strip().partition(" ")
        places[name] = place.strip()
    return Running(
        grpc=places["gRPC"],
        http=places["HTTP"],
        monitoring=places["metrics"],
        admin_token_file=data / "admin.token",
    )


def _environment(settings: Mapping[str, str]) -> Mapping[str, str]:
    """Our own environment with nothing of ours but these."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRYDOCK_")}
    return {**clean, **settings}
