"""A PostgreSQL that is killed, frozen and started again, and lines to it that can be held one by one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg

from services.kernel.embedded.account import Location, locate, root_home_of
from services.kernel.embedded.postgres import embedded_postgres
from services.kernel.embedded.process import tail, tied_to_us

_SOCKET = ".s.PGSQL.5432"
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "log_min_messages": "warning",
}
_START_SECONDS = 60.0


class Database:
    """The server of a cluster in a folder."""

    def __init__(self, location: Location) -> None:
        self._location = location
        self._server: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql://drydock@/drydock?host={location.sockets}"
        """Straight to the server, past all lines."""

    @property
    def socket(self) -> Path:
        """Where the server listens while it lives."""
        return self._location.sockets / _SOCKET

    async def start(self) -> None:
        """Starts the server and waits until it answers: after a crash it first recovers."""
        give_up = asyncio.get_running_loop().time() + _START_SECONDS
        while not await self._answers():
            # What is left of a killed one may hold its memory for a moment: then the new one ends at once.
            if self._server is None or self._server.poll() is not None:
                self._server = self._begin()
            assert asyncio.get_running_loop().time() < give_up, tail(self._location.log)
            await asyncio.sleep(0.1)

    def kill(self) -> None:
        """Ends the server with all its processes, as a power cut does."""
        assert self._server is not None
        for pid in [self._server.pid, *_children(self._server.pid)]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._server.wait()

    def stop(self) -> None:
        """Ends the server in order."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            self._server.wait(20)

    def _begin(self) -> subprocess.Popen[bytes]:
        location = self._location
        command = [str(location.programs / "postgres"), "-D", str(location.cluster)]
        for name, value in {**_SETTINGS, "unix_socket_directories": str(location.sockets)}.items():
            command += ["-c", f"{name}={value}"]
        account = location.account
        with location.log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=tied_to_us(signal.SIGINT),  # noqa: PLW1509 - two system calls
                user=account.uid if account else None,
                group=account.gid if account else None,
                extra_groups=[] if account else None,
            )

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url, timeout=5)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
            return False
        await connection.close()
        return True


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


@asynccontextmanager
async def killable_database(data: Path) -> AsyncIterator[Database]:
    """Makes a cluster and runs its server until the end of the block."""
    async with embedded_postgres(data):
        pass  # the cluster and its database are made
    database = Database(await asyncio.to_thread(locate, data))
    try:
        await database.start()
        yield database
    finally:
        database.stop()
        shutil.rmtree(root_home_of(data), ignore_errors=True)


class Line:
    """One process's way to the database; held, it takes connections and bytes, and passes nothing on."""

    def __init__(self, folder: Path, upstream: Path) -> None:
        self.url = f"postgresql://drydock@/drydock?host={folder}"
        self._upstream = upstream
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()

    def hold(self) -> None:
        """Makes the line silent."""
        self._open.clear()

    def let_go(self) -> None:
        """What was sent meanwhile arrives now."""
        self._open.set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection."""
        try:
            await self._open.wait()
            far_reader, far_writer = await asyncio.open_unix_connection(self._upstream)
        except OSError:
            writer.close()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        # Each pump closes what it writes to, by which the other one ends.
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= ends

    def cut(self) -> None:
        """Ends every connection."""
        self._open.set()
        for writer in self._writers:
            writer.close()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                await self._open.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other end is gone, which the closing tells this one
        finally:
            writer.close()


@asynccontextmanager
async def line_to(database: Database) -> AsyncIterator[Line]:
    """Opens a line in a short folder: a socket's path may not be long."""
    folder = Path(tempfile.mkdtemp(prefix="dd-line-"))
    line = Line(folder, database.socket)
    server = await asyncio.start_unix_server(line.take, folder / _SOCKET)
    try:
        yield line
    finally:
        server.close()
        line.cut()
        await server.wait_closed()
        shutil.rmtree(folder, ignore_errors=True)
