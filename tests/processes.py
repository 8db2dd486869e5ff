"""`drydock serve`: services as real processes on one database, on free ports."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from services.standalone import Running
from tests.commandline import PROGRAM, drydock
from tests.ports import a_free_address

TOKEN = "service-token-of-the-tests"
_READY_SECONDS = 60.0


@dataclasses.dataclass(kw_only=True)
class Served:
    """One process: started, watched, ended, and started again on the same addresses."""

    role: str
    environment: Mapping[str, str]
    data: Path
    log: Path
    grpc: str
    http: str
    monitoring: str
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it; see `until_ready`."""
        command = ["serve", self.role, "--data", str(self.data)]
        command += ["--grpc", self.grpc, "--monitoring", self.monitoring]
        command += ["--http", self.http] if self.role == "gateway" else []
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                PROGRAM, *command, stdout=log, stderr=log, env=self.environment
            )

    async def until_ready(self, seconds: float = _READY_SECONDS) -> None:
        """Waits until it says that it is ready."""
        await self.until({}, seconds)

    async def until(self, obstacles: Mapping[str, str], seconds: float = _READY_SECONDS) -> None:
        """Waits until these obstacles, by part and a word of their reason, and no others stand in the way."""
        found: object = None
        try:
            async with asyncio.timeout(seconds):
                while True:
                    assert self.process is not None
                    assert self.process.returncode is None, self.log.read_text()[-3000:]
                    found = await self.obstacles()
                    if (
                        found is not None
                        and found.keys() == obstacles.keys()
                        and all(word in found[part] for part, word in obstacles.items())
                    ):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{self.role}: {found}\n{self.log.read_text()[-3000:]}") from None

    async def obstacles(self) -> Mapping[str, str] | None:
        """What stands in its way; None while nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://{self.monitoring}/readyz") as answer,
            ):
                body = json.loads(await answer.text())
                assert (answer.status == 200) is body["ready"] is (not body["obstacles"])
                return dict(body["obstacles"])
        except aiohttp.ClientError:
            return None

    async def get(self, path: str) -> tuple[int, str]:
        """Asks its monitoring."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.monitoring}{path}") as answer:
            return answer.status, await answer.text()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and waits for the end; returns the status."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(60):
            return await self.process.wait()


class Fleet:
    """Processes of one installation. Copies of a role share a data folder."""

    def __init__(self, folder: Path, database: str, **settings: str) -> None:
        """`settings` are more variables, without their prefix; a service token is given unless they bring TLS."""
        self._folder = folder
        self._settings = {"DRYDOCK_" + name.upper(): value for name, value in settings.items()}
        if "tls_cert_file" not in settings:
            self._settings.setdefault("DRYDOCK_SERVICE_TOKEN", TOKEN)
        self.database = database
        self.addresses: dict[str, list[str]] = {}
        self.served: list[Served] = []
        self.admin_token_file = folder / "admin.token"

    def plan(self, *roles: str) -> list[Served]:
        """Says which processes there will be; the order of their starts does not matter."""
        planned = [self._planned(role) for role in roles]
        self.served += planned
        return planned

    def _planned(self, role: str) -> Served:
        address = a_free_address()
        self.addresses.setdefault(role, []).append(address)
        return Served(
            role=role,
            environment={},
            data=self._folder / f"data-{role}",
            log=self._folder / f"{role}-{len(self.served)}-{address.rpartition(':')[2]}.log",
            grpc=address,
            http=a_free_address(),
            monitoring=a_free_address(),
        )

    def environment(self, **changes: str) -> dict[str, str]:
        """The variables that every process gets."""
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DRYDOCK_")}
        peers = {
            f"DRYDOCK_{role.upper()}_ADDRESS": ",".join(addresses)
            for role, addresses in self.addresses.items()
            if role != "gateway"
        }
        more = {"DRYDOCK_" + name.upper(): value for name, value in changes.items()}
        return {
            **clean,
            **peers,
            "DRYDOCK_DATABASE_URL": self.database,
            "DRYDOCK_ADMIN_TOKEN_FILE": str(self.admin_token_file),
            "DRYDOCK_DRAIN_SECONDS": "5",
            "DRYDOCK_SCANNER_LEASE_SECONDS": "3",
            "DRYDOCK_SCANNER_WORKER_PROCESSES": "1",
            **self._settings,
            **more,
        }

    async def start(self, served: Served, **changes: str) -> None:
        """Starts one process, with other variables where the test says so."""
        served.environment = self.environment(**changes)
        await served.start()

    async def migrate(self) -> None:
        ran = await drydock("migrate", env={"DRYDOCK_DATABASE_URL": self.database})
        assert ran.status == 0, ran.stderr

    async def start_all(self, chosen: Sequence[Served] = ()) -> None:
        """Starts all, or the chosen ones, at once and waits until they are ready."""
        for served in chosen or self.served:
            await self.start(served)
        await asyncio.gather(*(served.until_ready() for served in chosen or self.served))

    @property
    def running(self) -> Running:
        """Where the gateway is."""
        [gateway] = [served for served in self.served if served.role == "gateway"]
        return Running(
            grpc=gateway.grpc,
            http=gateway.http,
            monitoring=gateway.monitoring,
            admin_token_file=self.admin_token_file,
        )


@asynccontextmanager
async def fleet(folder: Path, database: str, *roles: str, **settings: str) -> AsyncIterator[Fleet]:
    """Plans these processes; those that run at the end of the block are killed."""
    planned = Fleet(folder, database, **settings)
    planned.plan(*roles)
    try:
        yield planned
    finally:
        for served in planned.served:
            if served.process is not None and served.process.returncode is None:
                await served.end(signal.SIGKILL)
