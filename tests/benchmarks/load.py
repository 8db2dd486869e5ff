"""Load on a gRPC method by a program in C or Go: a client in Python would measure itself."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.machine import cpu_seconds_below

_RATE = re.compile(r"finished in [0-9.]+[a-z]+, ([0-9.]+) req/s")
_SUCCEEDED = re.compile(r"requests: (\d+) total.* (\d+) succeeded")
_ROOT = Path(__file__).parents[2]
_PROTOS = _ROOT / "protos"
PROTO = "drydock/acr/v20181201/container_registry.proto"
_BUILD_GHZ = _ROOT / "deploy" / "ghz" / "build.sh"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that is made again and again."""

    address: str
    method: str
    """`/package.Service/Method`."""
    message: bytes
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """How the calls went."""

    calls_per_second: float
    milliseconds: tuple[float, ...]
    """Of every call."""
    cpu_microseconds: float
    """Of all server processes, the database's among them, for one call."""


async def load(call: Call, *, calls: int, connections: int, in_flight: int) -> Load:
    """Makes so many calls, with `in_flight` of them under way over all connections; every one must succeed."""
    with tempfile.TemporaryDirectory(prefix="drydock-load-") as folder:
        begin = _h2load if shutil.which("h2load") else _ghz
        return await begin(Path(folder), call, calls, connections, in_flight)


async def _h2load(folder: Path, call: Call, calls: int, connections: int, in_flight: int) -> Load:
    """Uses h2load of nghttp2; it takes every answer of HTTP for a success, whatever gRPC says in it."""
    body, times = folder / "body", folder / "times"
    # The frame of a gRPC message: not compressed, its length, itself.
    body.write_bytes(b"\0" + len(call.message).to_bytes(4, "big") + call.message)
    headers = {"content-type": "application/grpc", "te": "trailers", **call.metadata}
    output, cpu = await _run(
        "h2load",
        f"--requests={calls}",
        f"--clients={connections}",
        f"--max-concurrent-streams={in_flight // connections}",
        f"--data={body}",
        f"--log-file={times}",
        *(f"--header={name}: {value}" for name, value in headers.items()),
        f"http://{call.address}{call.method}",
    )
    done, rate = _SUCCEEDED.search(output), _RATE.search(output)
    assert done, output
    assert rate, output
    assert done[1] == done[2] == str(calls), output
    milliseconds = tuple(int(line.split()[2]) / 1000 for line in times.read_text().splitlines())
    return Load(calls_per_second=float(rate[1]), milliseconds=milliseconds, cpu_microseconds=cpu / calls * 1e6)


async def _ghz(folder: Path, call: Call, calls: int, connections: int, in_flight: int) -> Load:
    """Uses ghz, which is built with Go where nobody has it."""
    body = folder / "body"
    body.write_bytes(call.message)
    output, cpu = await _run(
        await _built_ghz(),
        "--insecure",
        f"--import-paths={_PROTOS}",
        f"--proto={_PROTOS / PROTO}",
        f"--call={call.method.strip('/').replace('/', '.')}",
        f"--binary-file={body}",
        f"--metadata={json.dumps(dict(call.metadata))}",
        f"--total={calls}",
        f"--concurrency={in_flight}",
        f"--connections={connections}",
        "--format=json",
        call.address,
    )
    found = json.loads(output)
    assert found["statusCodeDistribution"] == {"OK": calls}, found["statusCodeDistribution"]
    milliseconds = tuple(detail["latency"] / 1e6 for detail in found["details"])
    return Load(calls_per_second=found["rps"], milliseconds=milliseconds, cpu_microseconds=cpu / calls * 1e6)


async def _built_ghz() -> str:
    built, _ = await _run(str(_BUILD_GHZ), sys.executable, seconds=600.0)
    return built.strip().splitlines()[-1]


async def _run(*command: str, seconds: float = 120.0) -> tuple[str, float]:
    """Returns what a program wrote, and the CPU time that our other processes took meanwhile."""
    before = cpu_seconds_below(os.getpid())
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(seconds):
            output = (await process.communicate())[0].decode(errors="replace")
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    assert process.returncode == 0, output
    return output, cpu_seconds_below(os.getpid()) - before
