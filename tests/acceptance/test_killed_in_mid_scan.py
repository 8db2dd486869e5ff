"""`drydock up` is killed while it scans, and started again: the push still ends, once."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from drydock.scanner.v1 import scan_pb2
from services.kernel.embedded.account import root_home_of
from services.kernel.model.access import RegistryAccess
from services.lab.faults import Delay
from services.lab.push import push_image
from services.standalone import Running
from tests.acceptance.test_push_to_verdict import an_image
from tests.ports import a_free_address
from tests.registries import lab_registry
from tests.running import Client, client_of


class Installation:
    """`drydock up` as a process, on one data folder and always the same addresses."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.running = Running(
            grpc=a_free_address(),
            http=a_free_address(),
            monitoring=a_free_address(),
            admin_token_file=data / "admin.token",
        )
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it and waits until it says that it is ready."""
        command = ["up", "--data", str(self.data)]
        command += ["--grpc", self.running.grpc, "--http", self.running.http]
        log = (self.data.parent / "up.log").open("ab")
        with log:
            self._process = await asyncio.create_subprocess_exec(
                Path(sys.executable).with_name("drydock"),
                *command,
                stdout=log,
                stderr=log,
                env={
                    **os.environ,
                    "DRYDOCK_GATEWAY_MONITORING_LISTEN": self.running.monitoring,
                    "DRYDOCK_SCANNER_LEASE_SECONDS": "3",
                },
            )
        async with asyncio.timeout(60), aiohttp.ClientSession() as session:
            while not await self._is_ready(session):
                if self._process.returncode is not None:
                    raise AssertionError((self.data.parent / "up.log").read_text()[-3000:])
                await asyncio.sleep(0.1)

    async def _is_ready(self, session: aiohttp.ClientSession) -> bool:
        try:
            async with session.get(f"http://{self.running.monitoring}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def end(self, number: signal.Signals) -> int:
        """Sends a signal and waits for the end."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(60):
            return await self._process.wait()


@asynccontextmanager
async def installation(data: Path) -> AsyncIterator[Installation]:
    installed = Installation(data)
    data.mkdir()
    try:
        await installed.start()
        yield installed
    finally:
        await installed.end(signal.SIGTERM)
        if os.geteuid() == 0:
            shutil.rmtree(root_home_of(data), ignore_errors=True)


@asynccontextmanager
async def client(installed: Installation) -> AsyncIterator[Client]:
    async with client_of(installed.running) as opened:
        yield opened


@pytest.mark.slow
async def test_a_push_that_is_being_scanned_when_everything_is_killed_ends_complete_once(tmp_path: Path) -> None:
    async with installation(tmp_path / "data") as installed:
        async with client(installed) as before:
            instance_id = await before.instance(_nowhere())
            hook = await before.webhook(instance_id)
        async with lab_registry(notify=hook) as registry:
            assert registry.lab is not None
            built = an_image()
            # Of a layer, and not when it is pushed, which begins with HEAD; rules pulls the configuration alone.
            layer = f"/v2/team/app/blobs/{built.layers[-1].digest}"
            registry.lab.faults.add(layer, Delay(20), times=1, methods=("GET",))
            async with client(installed) as early:
                await early.move(instance_id, registry.access.address)
                digest = await push_image(registry.access, "team/app", "1.0", built)
                await _until_running(early, instance_id)
            assert await installed.end(signal.SIGKILL) == -signal.SIGKILL
            await installed.start()
            async with client(installed) as later:
                task = await later.wait(instance_id, "team/app", "1.0", digest=digest)
                assert task.state == scan_pb2.STATE_COMPLETE, task
                assert len(await later.tasks(instance_id)) == 1


@pytest.mark.slow
async def test_up_stops_cleanly_when_asked(tmp_path: Path) -> None:
    async with installation(tmp_path / "data") as installed:
        assert await installed.end(signal.SIGTERM) == 0


async def _until_running(early: Client, instance_id: str) -> None:
    async with asyncio.timeout(30):
        while [task.state for task in await early.tasks(instance_id)] != [scan_pb2.STATE_RUNNING]:
            await asyncio.sleep(0.05)


def _nowhere() -> RegistryAccess:
    return RegistryAccess(address="127.0.0.1:1", plain_http=True)
