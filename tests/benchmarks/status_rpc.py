"""The status call through the whole gateway against servers that know nothing."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp

from drydock.acr.v20181201 import container_registry_pb2 as acr
from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.scanner.v1 import scan_pb2
from tests.benchmarks.figures import Figure, Result, percentile, ratio
from tests.benchmarks.load import Call, Load, load
from tests.benchmarks.pushes import REPOSITORY, pushes_to
from tests.benchmarks.stage import Stage, whole_drydock
from tests.commandline import running_program

METHOD = "/drydock.acr.v20181201.ContainerRegistry/GetRepoTagScanStatus"
ROUNDS = 5
CALLS = 15_000
IN_FLIGHT = 64
CONNECTIONS = (1, 8)


async def measure() -> Result:
    """Puts the same load on all servers in turn, round after round."""
    async with whole_drydock() as stage, _echo("dressed") as dressed, _echo("bare") as bare:
        call = await _status_call(stage)
        calls = {
            "status call": call,
            "echo with our interceptor": Call(address=dressed, method=METHOD, message=call.message),
            "echo with nothing": Call(address=bare, method=METHOD, message=call.message),
        }
        figures = [figure for connections in CONNECTIONS for figure in await _rounds(calls, connections)]
        await _check_counted(stage, (ROUNDS + 1) * CALLS * len(CONNECTIONS))
    return Result(
        question=(
            "GetRepoTagScanStatus with a token, through `drydock up` and PostgreSQL, never staler than the last "
            f"commit, against grpc.aio servers that answer the same; {IN_FLIGHT} calls in flight."
        ),
        figures=tuple(figures),
    )


async def _rounds(calls: dict[str, Call], connections: int) -> list[Figure]:
    loads: dict[str, list[Load]] = {name: [] for name in calls}
    for round_number in range(ROUNDS + 1):
        for name, call in calls.items():
            made = await load(call, calls=CALLS, connections=connections, in_flight=IN_FLIGHT)
            if round_number:  # the first one warms up
                loads[name].append(made)
    over = f"{connections} connection{'s' if connections > 1 else ''}"
    rates = {
        name: Figure(what=f"{name}, {over}", rounds=tuple(one.calls_per_second for one in made), unit="calls/s")
        for name, made in loads.items()
    }
    cpu = {
        name: Figure(what=f"CPU of {name}, {over}", rounds=tuple(one.cpu_microseconds for one in made), unit="µs")
        for name, made in loads.items()
    }

    def latencies(percent: int) -> list[Figure]:
        return [
            Figure(
                what=f"{name}, {over}, p{percent}",
                rounds=tuple(percentile(one.milliseconds, percent) for one in made),
                unit="ms",
            )
            for name, made in loads.items()
        ]

    ours, dressed, bare = rates.values()
    ours_cpu, dressed_cpu, _ = cpu.values()
    return [
        ratio(f"status call / echo with our interceptor, {over}", ours, dressed, bar=">= 0.6"),
        ratio(f"p99 of a status call / of that echo, {over}", *latencies(99)[:2], bar="<= 3"),
        ratio(f"status call / echo with nothing, {over}", ours, bare),
        ratio(f"CPU of the echo with our interceptor / of a status call, {over}", dressed_cpu, ours_cpu),
        *rates.values(),
        *cpu.values(),
        *(figure for percent in (50, 99) for figure in latencies(percent)[:2]),
    ]


async def _status_call(stage: Stage) -> Call:
    """Scans one image and returns the call that asks for its status, with the key of a viewer."""
    async with pushes_to(stage) as pushes:
        await pushes.tell("1.0", await pushes.put("1.0"))
        task = await stage.client.wait(pushes.instance_id, REPOSITORY, "1.0")
        assert task.state == scan_pb2.STATE_COMPLETE, task
    key = await AdminServiceStub(stage.client.channel).CreateKey(
        admin.CreateKeyRequest(name="watcher", role=admin.ROLE_VIEWER)
    )
    request = acr.GetRepoTagScanStatusRequest(instance_id=task.instance_id, repo_id=task.repo_id, tag=task.tag)
    return Call(
        address=stage.running.grpc,
        method=METHOD,
        message=request.SerializeToString(),
        metadata={"authorization": f"Bearer {key.token}"},
    )


async def _check_counted(stage: Stage, calls: int) -> None:
    """Fails unless every call was answered well: the load program knows HTTP only, not how a call ended."""
    async with aiohttp.ClientSession() as http, http.get(f"http://{stage.running.monitoring}/metrics") as response:
        metrics = await response.text()
    counted = f'drydock_rpc_duration_seconds_count{{code="OK",method="{METHOD}"}} {calls}.0'
    assert counted in metrics, [line for line in metrics.splitlines() if METHOD in line and "_count" in line]


@contextlib.asynccontextmanager
async def _echo(kind: str) -> AsyncIterator[str]:
    async with running_program(sys.executable, "-m", "tests.benchmarks.echo", kind) as process:
        assert process.stdout is not None
        address = (await process.stdout.readline()).decode().strip()
        assert address, "the echo did not start"
        yield address
