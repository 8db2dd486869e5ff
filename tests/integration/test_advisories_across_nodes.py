"""Two data directories and one database: what is imported on one node serves on the other."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from services.kernel.db import Pool
from services.kernel.errors import ServiceError
from services.scanner.advisories.compile import Source
from services.scanner.advisories.database import FORMAT
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.shared import SharedAdvisories, synchronise_with
from services.scanner.advisories.store import AdvisoryStore
from services.scanner.advisories.watch import AdvisoryWatch
from tests.builders.advisories import NOW, affected, before, record, write_lines
from tests.databases import migrated_pool

pytestmark = pytest.mark.slow


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with migrated_pool(database, ("scanner", "services.scanner")) as pool:
        yield pool


def import_into(files: AdvisoryFiles, folder: Path, fixed: str, *, days: int = 0) -> str:
    path = write_lines(folder / f"{fixed}.ndjson", [record("CVE-1-1", affected("PyPI", "x", *before(fixed)))])
    return files.install([Source(path=path, name=path.name)], now=NOW + timedelta(days=days)).version


def sharing(pool: Pool, files: AdvisoryFiles) -> SharedAdvisories:
    return SharedAdvisories(files, AdvisoryStore(pool, FORMAT))


def version_of(files: AdvisoryFiles) -> str:
    with files.open() as database:
        return database.meta.version


async def test_an_import_on_one_node_serves_on_the_other(pool: Pool, tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    version = import_into(one, tmp_path, "1")
    await sharing(pool, one).synchronise()
    await sharing(pool, two).synchronise()
    assert version_of(two) == version
    assert (tmp_path / "two" / "advisories").exists()
    assert not list(two.folder.glob(".download-*"))


async def test_the_younger_import_wins_wherever_it_was_made(pool: Pool, tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    import_into(one, tmp_path, "1")
    younger = import_into(two, tmp_path, "2", days=1)
    for files in (two, one, two):
        await sharing(pool, files).synchronise()
    assert version_of(one) == version_of(two) == younger


async def test_a_file_of_many_pieces_arrives_whole(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.scanner.advisories.shared._PIECE_BYTES", 1000)
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    version = import_into(one, tmp_path, "1")
    await asyncio.gather(sharing(pool, one).synchronise(), sharing(pool, one).synchronise())
    await sharing(pool, two).synchronise()
    assert version_of(two) == version
    assert await pool.fetchval("SELECT count(*) FROM scanner.advisory_piece") > 5


async def test_a_damaged_shared_file_is_refused_and_the_old_one_serves(pool: Pool, tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    old = import_into(two, tmp_path, "1")
    import_into(one, tmp_path, "2", days=1)
    await sharing(pool, one).synchronise()
    piece = await pool.fetchval("SELECT content FROM scanner.advisory_piece WHERE number = 0")
    await pool.execute("UPDATE scanner.advisory_piece SET content = $1 WHERE number = 0", piece[:-9] + b"\0" * 9)
    with pytest.raises(ServiceError) as caught:
        await sharing(pool, two).synchronise()
    assert caught.value.reason == "ADVISORIES_UNREADABLE"
    assert version_of(two) == old


async def test_a_file_half_stored_counts_for_nobody(pool: Pool, tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    import_into(one, tmp_path, "1")
    await sharing(pool, one).synchronise()
    await pool.execute("DELETE FROM scanner.advisory_current")
    assert await sharing(pool, two).synchronise() is None
    assert two.current() is None


async def test_a_damaged_own_file_is_fetched_anew(pool: Pool, tmp_path: Path) -> None:
    one = AdvisoryFiles(tmp_path / "one")
    version = import_into(one, tmp_path, "1")
    await sharing(pool, one).synchronise()
    path = one.current()
    assert path is not None
    path.unlink()
    await sharing(pool, one).synchronise()
    assert version_of(one) == version


async def test_the_sample_is_never_shared(pool: Pool, tmp_path: Path) -> None:
    one = AdvisoryFiles(tmp_path / "one")
    one.ensure()
    assert await sharing(pool, one).synchronise() is None


async def test_a_fresh_node_begins_with_what_is_shared(pool: Pool, tmp_path: Path) -> None:
    one, two = AdvisoryFiles(tmp_path / "one"), AdvisoryFiles(tmp_path / "two")
    version = import_into(one, tmp_path, "1")
    await sharing(pool, one).synchronise()
    watch = AdvisoryWatch(two, sharing(pool, two))
    await watch.open()
    assert watch.version == version


async def test_files_that_count_no_more_go_after_an_hour(pool: Pool, tmp_path: Path) -> None:
    one = AdvisoryFiles(tmp_path / "one")
    import_into(one, tmp_path, "1")
    await sharing(pool, one).synchronise()
    await pool.execute("UPDATE scanner.advisory_file SET created_at = now() - interval '2 hours'")
    kept = import_into(one, tmp_path, "2", days=1)
    await sharing(pool, one).synchronise()
    assert [row["version"] for row in await pool.fetch("SELECT version FROM scanner.advisory_file")] == [kept]


async def test_a_database_without_our_tables_is_told(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(ServiceError) as caught:
        await synchronise_with(empty_database, AdvisoryFiles(tmp_path))
    assert caught.value.reason == "DATABASE_NOT_MIGRATED"
