"""Waiting for a verdict while scanners and gateways are killed: whoever asks again is told the same."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from drydock.scanner.v1 import scan_pb2
from drydock.scanner.v1 import scanner_service_pb2 as pb
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.lab.faults import Delay
from services.lab.push import push_image
from tests.acceptance.test_push_to_verdict import an_image
from tests.acceptance.test_separate_processes import scene
from tests.commandline import drydock
from tests.processes import Fleet, fleet
from tests.registries import RunningRegistry
from tests.running import Client, client_of

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceAsyncStub

pytestmark = pytest.mark.slow

ROLES = ("rules", "notifier", "gateway", "scanner", "scanner")
SLOWLY = 6.0
"""Seconds that the registry takes for a layer: time to kill somebody."""


def the_image(instance_id: str, tag: str) -> scan_pb2.ImageRef:
    return scan_pb2.ImageRef(instance=instance_id, namespace="team", repository="app", tag=tag)


async def a_slow_push(client: Client, instance_id: str, registry: RunningRegistry, tag: str) -> str:
    """Pushes an image whose scan is under way when this returns, and goes on for some seconds."""
    assert registry.lab is not None
    built = an_image(salt=tag)
    layer = f"/v2/team/app/blobs/{built.layers[-1].digest}"
    registry.lab.faults.add(layer, Delay(SLOWLY), times=1, methods=("GET",))
    digest = await push_image(registry.access, "team/app", tag, built)
    async with asyncio.timeout(30):
        while scan_pb2.STATE_RUNNING not in [task.state for task in await client.tasks(instance_id)]:
            await asyncio.sleep(0.05)
    return digest


async def test_a_call_that_waits_outlives_the_scanner_that_it_waits_at_and_the_one_that_scans(
    tmp_path: Path, database: str
) -> None:
    async with fleet(tmp_path, database, *ROLES, scanner_lease_seconds="3") as started:
        await started.start_all()
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            digest = await a_slow_push(client, instance_id, registry, "1.0")
            stub: ScannerServiceAsyncStub = ScannerServiceStub(client.channel)
            request = pb.WaitScanVerdictRequest(image=the_image(instance_id, "1.0"))
            # Two calls go to two scanners; each of these is killed, and one of them has the scan.
            waiting = [asyncio.create_task(_wait(stub, request)) for _ in range(2)]
            for scanner in started.served[-2:]:
                await scanner.end(signal.SIGKILL)
                await scanner.start()
                await scanner.until_ready()
            answers = await asyncio.gather(*waiting)
        assert [(task.state, task.digest) for task in answers] == [(scan_pb2.STATE_COMPLETE, digest)] * 2


async def _wait(stub: ScannerServiceAsyncStub, request: pb.WaitScanVerdictRequest) -> scan_pb2.Task:
    return (await stub.WaitScanVerdict(request, timeout=60)).task


async def test_a_stream_goes_on_after_the_scanner_that_it_came_from(tmp_path: Path, database: str) -> None:
    async with fleet(tmp_path, database, *ROLES, scanner_lease_seconds="3") as started:
        await started.start_all()
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            await a_slow_push(client, instance_id, registry, "1.0")
            stub: ScannerServiceAsyncStub = ScannerServiceStub(client.channel)
            token = started.admin_token_file.read_text().strip()
            call = stub.WatchScan(
                pb.WatchScanRequest(image=the_image(instance_id, "1.0")),
                timeout=60,
                metadata=(("authorization", f"Bearer {token}"),),
            )
            states = []
            async for standing in call:
                states.append(standing.task.state)
                if len(states) == 1:
                    for scanner in started.served[-2:]:
                        await scanner.end(signal.SIGKILL)
                        await scanner.start()
                        await scanner.until_ready()
        assert states[0] == scan_pb2.STATE_RUNNING
        assert states[-1] == scan_pb2.STATE_COMPLETE


async def test_a_gate_that_waits_outlives_the_gateway(tmp_path: Path, database: str) -> None:
    async with fleet(tmp_path, database, *ROLES) as started:
        await started.start_all()
        gateway = started.served[2]
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            digest = await a_slow_push(client, instance_id, registry, "1.0")
            waiting = asyncio.create_task(
                drydock(
                    *("gate", "lab", "team/app:1.0", "--wait", "60s", "--fail-on", "medium", "--output", "json"),
                    env=_environment(started),
                    seconds=90,
                )
            )
            await _waits(started)
            await gateway.end(signal.SIGKILL)
            await asyncio.sleep(1.0)  # for long enough that the client has to come back more than once
            await gateway.start()
            await gateway.until_ready()
            ran = await waiting
        assert ran.status == 1, ran
        verdict = json.loads(ran.stdout)
        assert (verdict["decision"], verdict["digest"]) == ("FAIL", digest)
        assert "CVE-2019-10906" in {finding["id"] for finding in verdict["failing"]}


def _environment(started: Fleet) -> dict[str, str]:
    return {
        "DRYDOCK_SERVER": started.running.grpc,
        "DRYDOCK_TOKEN": started.admin_token_file.read_text().strip(),
    }


async def _waits(started: Fleet) -> None:
    """Waits until a scanner says that somebody waits there."""
    async with asyncio.timeout(30):
        while True:
            for scanner in started.served[-2:]:
                _, metrics = await scanner.get("/metrics")
                if "drydock_scanner_waiters 1.0" in metrics:
                    return
            await asyncio.sleep(0.02)


async def test_a_gateway_that_stops_sends_whoever_waits_away_in_time(tmp_path: Path, database: str) -> None:
    async with fleet(tmp_path, database, *ROLES, drain_seconds="2") as started:
        await started.start_all()
        async with client_of(started.running) as client, scene(client) as (instance_id, registry):
            await a_slow_push(client, instance_id, registry, "1.0")
            stub: ScannerServiceAsyncStub = ScannerServiceStub(client.channel)
            request = pb.WaitScanVerdictRequest(image=the_image(instance_id, "1.0"))
            waiting = asyncio.create_task(_wait(stub, request))
            await _waits(started)
            assert await started.served[2].end() == 0
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await waiting
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE, caught.value
