"""Rows that somebody else had locked are not lost by whoever waited for them."""

from __future__ import annotations

import asyncio
import uuid

import pytest

from services.kernel.db import Connection
from services.scanner.store import ScannerStore
from services.scanner.tags.store import SyncStore
from tests.databases import migrated_pool

_SCAN = """
INSERT INTO scanner.scan
    (scan_id, instance_id, namespace, repository, digest, platform, engine, engine_version, advisories_version,
    state)
VALUES ($1, 'cri-a', 'team', 'app', $2, '', 'SECURITY_CENTER', '1', '1', 'RUNNING')
"""
_TAG = """
INSERT INTO scanner.tag (repo_id, tag, instance_id, namespace, repository, digest, revision, seen_at)
VALUES ('crr-a', $1, 'cri-a', 'team', 'app', 'sha256:0', 1, now())
"""
_PART = "INSERT INTO scanner.scan_part (index_id, scan_id, platform, position) VALUES ($1, $2, 'linux/amd64', 0)"


async def two_indexes_of_one_part(db: Connection) -> tuple[str, set[str]]:
    part, *indexes = (uuid.uuid4() for _ in range(3))
    for scan_id in (part, *indexes):
        await db.execute(_SCAN, scan_id, f"sha256:{scan_id}")
    for index in indexes:
        await db.execute(_PART, index, part)
    return str(part), set(map(str, indexes))


@pytest.mark.parametrize(
    "meanwhile",
    [
        "UPDATE scanner.scan SET state = 'RUNNING' WHERE scan_id = $1",
        "SELECT 1 FROM scanner.scan WHERE scan_id = $1 FOR UPDATE",
    ],
)
async def test_an_index_that_was_locked_meanwhile_is_still_one_of_a_part(database: str, meanwhile: str) -> None:
    store = ScannerStore()
    async with (
        migrated_pool(database, ("scanner", "services.scanner")) as pool,
        pool.acquire() as first,
        pool.acquire() as second,
    ):
        part, indexes = await two_indexes_of_one_part(first)
        for index in indexes:
            async with first.transaction():
                await first.execute(meanwhile, index)
                asked = asyncio.create_task(locked(store, second, part))
                await waits(first)
            assert await asked == indexes


async def test_a_tag_that_was_locked_meanwhile_is_still_one_that_a_walk_found(database: str) -> None:
    store = SyncStore()
    async with (
        migrated_pool(database, ("scanner", "services.scanner")) as pool,
        pool.acquire() as first,
        pool.acquire() as second,
    ):
        tags = ["1", "2", "3"]
        for tag in tags:
            await first.execute(_TAG, tag)
        for tag in tags:
            async with first.transaction():
                await first.execute("UPDATE scanner.tag SET questions = questions + 1 WHERE tag = $1", tag)
                asked = asyncio.create_task(store.mark_listed(second, "crr-a", tags, 7))
                await waits(first)
            assert sorted(await asked) == tags


async def locked(store: ScannerStore, db: Connection, part: str) -> set[str]:
    async with db.transaction():
        return set(await store.indexes_of(db, part))


async def waits(db: Connection) -> None:
    """Returns when somebody waits for a lock."""
    async with asyncio.timeout(20):
        while not await db.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"):
            await asyncio.sleep(0.01)
