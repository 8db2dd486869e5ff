"""The embedded database survives its starter's death, and never opens a folder that it did not make."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.kernel.db import is_outage, open_pool
from services.kernel.embedded.account import root_home_of
from services.kernel.embedded.postgres import embedded_postgres
from services.kernel.errors import ServiceError

_STARTER = """
import asyncio, sys
from pathlib import Path
import asyncpg
from services.kernel.embedded.postgres import embedded_postgres

async def main():
    async with embedded_postgres(Path(sys.argv[1])) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (7)")
        print("committed", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "outer" / "data"
    yield folder
    shutil.rmtree(root_home_of(folder), ignore_errors=True)


@pytest.mark.slow
async def test_what_was_committed_is_there_after_the_starter_was_killed(data: Path) -> None:
    command = (sys.executable, "-c", _STARTER, str(data))
    starter = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert starter.stdout is not None
    assert await starter.stdout.readline() == b"committed\n"
    starter.kill()
    await starter.wait()
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT n FROM kept") == 7
        await connection.close()


@pytest.mark.slow
async def test_a_database_that_is_killed_comes_back_with_all_that_was_committed(data: Path) -> None:
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        postmaster = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(postmaster, signal.SIGKILL)
        with pytest.raises(Exception, check=is_outage):  # noqa: B017 - whatever the driver says of it
            while True:
                await connection.fetchval("SELECT 1")
        connection.terminate()
        async with open_pool(url, application_name="tests", patience_seconds=60) as pool:
            assert await pool.fetchval("SELECT n FROM kept") == 7


@pytest.mark.slow
async def test_a_second_drydock_on_the_same_folder_is_refused(data: Path) -> None:
    async with embedded_postgres(data):
        with pytest.raises(ServiceError, match="Another Drydock"):
            async with embedded_postgres(data):
                pass


@pytest.mark.slow
async def test_no_existing_folder_changes_its_mode(data: Path) -> None:
    data.parent.mkdir(mode=0o700)
    watched = [*data.parents, Path(sys.prefix), *Path(sys.prefix).parents]
    before = {folder: folder.stat().st_mode for folder in watched}
    async with embedded_postgres(data):
        pass
    assert {folder: folder.stat().st_mode for folder in watched} == before


@pytest.mark.slow
async def test_a_very_long_data_path_still_gets_a_socket_and_leaves_none_behind(tmp_path: Path) -> None:
    data = tmp_path / ("long" * 30) / "data"
    try:
        async with embedded_postgres(data) as url:
            connection = await asyncpg.connect(url)
            assert await connection.fetchval("SHOW fsync") == "on"
            sockets = Path(url.partition("host=")[2])
            await connection.close()
        assert not sockets.exists()
    finally:
        if os.geteuid() == 0:
            shutil.rmtree(root_home_of(data), ignore_errors=True)
