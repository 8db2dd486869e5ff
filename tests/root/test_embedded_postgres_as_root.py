"""As root the embedded PostgreSQL is another user's process in another user's folder; nothing else opens up."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from services.kernel.embedded.account import ROOT_HOME, USER, root_home_of
from services.kernel.embedded.postgres import embedded_postgres

pytestmark = pytest.mark.root


@pytest.fixture
def closed_folder(tmp_path: Path) -> Iterator[Path]:
    """A data folder below one that only root may enter, as below /root."""
    assert os.geteuid() == 0, "run as root, by `make test-root`"
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    yield closed / "data"
    shutil.rmtree(root_home_of(closed / "data"), ignore_errors=True)


async def test_the_server_runs_as_a_user_of_its_own(closed_folder: Path) -> None:
    async with embedded_postgres(closed_folder):
        home = root_home_of(closed_folder)
        pid = int((home / "cluster" / "postmaster.pid").read_text().splitlines()[0])
        assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam(USER).pw_uid
        for folder in (home, home / "cluster", home / "run"):
            assert folder.stat().st_mode & 0o777 == 0o700
            assert folder.stat().st_uid == pwd.getpwnam(USER).pw_uid


async def test_a_data_folder_that_only_root_may_enter_stays_closed(closed_folder: Path) -> None:
    watched = [*closed_folder.parents, *Path(os.__file__).parents]
    if ROOT_HOME.exists():
        watched += [ROOT_HOME, *ROOT_HOME.parents]
    before = {folder: folder.stat().st_mode for folder in watched}
    async with embedded_postgres(closed_folder) as url:
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("SELECT 1") == 1
        await connection.close()
    assert {folder: folder.stat().st_mode for folder in watched} == before
