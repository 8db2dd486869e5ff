"""As root, the embedded PostgreSQL runs as a user of its own and opens nobody's folder."""

from __future__ import annotations

import pwd
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.kernel.embedded.account import ROOT_HOME, USER, root_home_of
from services.kernel.embedded.postgres import embedded_postgres

pytestmark = [pytest.mark.root, pytest.mark.slow]


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data folder inside a folder that only root may enter."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    data = closed / "data"
    yield data
    shutil.rmtree(root_home_of(data), ignore_errors=True)


def modes(*folders: Path) -> dict[Path, int]:
    """The modes of the folders and of all that they lie in, as far as they exist."""
    line = {parent for folder in folders for parent in (folder, *folder.parents) if parent.exists()}
    return {folder: stat.S_IMODE(folder.stat().st_mode) for folder in line}


async def test_no_existing_folder_changes_its_mode(data: Path) -> None:
    before = modes(data, ROOT_HOME)
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        await connection.close()
    after = modes(data, ROOT_HOME)
    assert {folder: after[folder] for folder in before} == before


async def test_the_server_runs_as_its_own_user(data: Path) -> None:
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        number = await connection.fetchval("SELECT pg_backend_pid()")
        owner = Path(f"/proc/{number}").stat().st_uid
        await connection.close()
    assert owner == pwd.getpwnam(USER).pw_uid != 0
    assert stat.S_IMODE(root_home_of(data).stat().st_mode) == 0o700


async def test_what_was_committed_is_there_after_a_restart(data: Path) -> None:
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        await connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        await connection.close()
    async with embedded_postgres(data) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT answer FROM kept") == 42
        await connection.close()
