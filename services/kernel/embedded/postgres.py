"""An embedded PostgreSQL from a wheel: one cluster in a data folder, reached through a private socket.

We start `initdb` and `postgres` ourselves instead of calling the wheel's own starter: as root that one opens
the mode of every parent folder, and outside root it locks a file in the shared temp folder.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import asyncpg
import structlog

from services.kernel.embedded.account import Location, locate
from services.kernel.embedded.keeper import kept_running
from services.kernel.embedded.process import only_one, stop, tail, tied_to_us
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_compression": "on",
    "jit": "off",
    "log_min_messages": "warning",
    "timezone": "UTC",
}
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL)
_SUPERUSER = "drydock"


@asynccontextmanager
async def embedded_postgres(data: Path) -> AsyncIterator[str]:
    """Starts the cluster of a data folder, yields the URL of its database `drydock`, and stops it at exit.

    The cluster dies with this process even when that is killed (`PR_SET_PDEATHSIG`), is started again when it ends
    before, loses nothing committed, and recovers at the next start.

    Raises:
        ServiceError: DATA_FOLDER_IN_USE; DATABASE_DID_NOT_START with the end of its log.
    """
    location = await asyncio.to_thread(locate, data)
    with only_one(data):
        await asyncio.to_thread(_initialise, location)
        await _await_end_of_predecessor(location)
        try:
            async with kept_running(
                "postgresql",
                start=lambda: _start(location),
                await_ready=lambda server: _await_ready(server, location),
                stop=lambda server: stop(server, _SIGNALS, name="postgresql", seconds=_STOP_SECONDS),
            ):
                yield f"postgresql://{_SUPERUSER}@/drydock?host={location.sockets}"
        finally:
            with suppress(OSError):  # it may lie in the temp folder, where nobody would tidy up after us
                location.sockets.rmdir()


def _initialise(location: Location) -> None:
    if (location.cluster / "PG_VERSION").exists():
        return
    # `trust` is safe here: the only way in is a socket in a folder that nobody else may enter.
    command = [
        str(location.programs / "initdb"),
        f"--pgdata={location.cluster}",
        f"--username={_SUPERUSER}",
        "--auth=trust",
        "--encoding=UTF8",
        "--locale=C.UTF-8",
        "--data-checksums",
        "--no-instructions",
    ]
    account = location.account
    done = subprocess.run(  # noqa: S603 - our own program, our own arguments
        command,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
    )
    if done.returncode != 0:
        raise _did_not_start(done.stderr or done.stdout)


async def _await_end_of_predecessor(location: Location) -> None:
    """Waits for a server whose starter was killed: it may still be shutting down on the same cluster."""
    loop = asyncio.get_running_loop()
    told = False
    give_up = loop.time() + _STOP_SECONDS
    while (pid := _living_server(location)) is not None:
        if not told and loop.time() > give_up:
            log.warning("postgres.orphan_stopped", pid=pid)
            os.kill(pid, signal.SIGINT)  # the folder's lock is ours, so nobody else needs it
            told = True
        if loop.time() > give_up + _STOP_SECONDS:
            raise _did_not_start(f"an older server, process {pid}, does not end")
        await asyncio.sleep(0.05)


def _living_server(location: Location) -> int | None:
    """Returns the process that serves the cluster already; a stale note of one that is gone counts as none."""
    try:
        pid = int((location.cluster / "postmaster.pid").read_text().split("\n", 1)[0])
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if os.fsencode(location.cluster) in command.split(b"\0") else None


def _start(location: Location) -> subprocess.Popen[bytes]:
    settings = {**_SETTINGS, "unix_socket_directories": str(location.sockets)}
    command = [str(location.programs / "postgres"), "-D", str(location.cluster)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    account = location.account
    with location.log.open("ab") as output:
        return subprocess.Popen(  # noqa: S603 - our own program, our own arguments
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C is for us; we then stop the server in order
            preexec_fn=tied_to_us(signal.SIGINT),  # noqa: PLW1509 - two system calls; a fast, clean shutdown
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )


async def _await_ready(server: subprocess.Popen[bytes], location: Location) -> None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + _START_SECONDS
    while True:
        try:
            connection = await asyncpg.connect(f"postgresql://{_SUPERUSER}@/postgres?host={location.sockets}")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            if server.poll() is not None or loop.time() > give_up:
                raise _did_not_start(tail(location.log)) from error
            await asyncio.sleep(0.03)
            continue
        try:
            with suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute("CREATE DATABASE drydock")
        finally:
            await connection.close()
        return


def _did_not_start(output: str) -> ServiceError:
    return ServiceError(
        Kind.INTERNAL,
        "DATABASE_DID_NOT_START",
        f"The embedded PostgreSQL did not start: {output.strip()[-800:]}",
        hint="Mend what its log names, or give a database of your own with DRYDOCK_DATABASE_URL.",
    )
