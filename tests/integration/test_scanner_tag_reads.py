"""Status reads that share queries: fresh, apart from each other, and whole after an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime

import pytest

from services.kernel.db import Connection
from services.scanner.records import TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tags.reads import TagReads, open_tag_reads
from tests.builders.scanner import ScannerBench, image, scanner_bench


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


class HeldStore(ScannerStore):
    """Counts queries, and holds each one back before it is sent until it is let go."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.reached = asyncio.Event()
        self.go = asyncio.Event()

    async def tasks_of_tags(self, db: Connection, tags: Sequence[tuple[str, str]]) -> Sequence[TaskRecord | None]:
        self.asked.append([tag for _, tag in tags])
        self.reached.set()
        await self.go.wait()
        return await super().tasks_of_tags(db, tags)


async def test_each_caller_gets_its_own_tag_and_none_for_one_that_is_not_there(scanner: ScannerBench) -> None:
    tasks = {tag: await scanner.ask(image(tag.encode(), tag)) for tag in ("1", "2", "3")}
    async with open_tag_reads(scanner.url, scanner.store) as reads:
        found = await asyncio.gather(*(reads.newest_task("crr-1", tag) for tag in ("3", "none", "1", "3", "2")))
        elsewhere = await reads.newest_task("crr-2", "1")
    assert [task.task_id if task else None for task in found] == [
        tasks["3"].task_id, None, tasks["1"].task_id, tasks["3"].task_id, tasks["2"].task_id,
    ]  # fmt: skip
    assert elsewhere is None


async def test_callers_that_wait_together_share_the_next_query_and_never_one_already_sent(
    scanner: ScannerBench,
) -> None:
    store = HeldStore()
    async with asyncio.TaskGroup() as group, open_tag_reads(scanner.url, store) as reads:
        first = group.create_task(reads.newest_task("crr-1", "1.0"))
        await store.reached.wait()
        # The first query is on its way; what is committed now, later callers must see.
        task = await scanner.ask(image())
        later = [group.create_task(reads.newest_task("crr-1", "1.0")) for _ in range(3)]
        other = group.create_task(reads.newest_task("crr-1", "2.0"))
        await asyncio.sleep(0)
        store.go.set()
        seen = await asyncio.gather(*later)
        await first
    assert [found.task_id for found in seen if found] == [task.task_id] * 3
    assert other.result() is None
    assert store.asked == [["1.0"], ["1.0", "2.0"]]  # and what several ask is asked once


async def test_a_commit_is_seen_by_the_next_call_under_load(scanner: ScannerBench) -> None:
    stop = asyncio.Event()

    async def keep_asking(reads: TagReads) -> None:
        while not stop.is_set():
            await reads.newest_task("crr-1", "1.0")

    async with asyncio.TaskGroup() as group, open_tag_reads(scanner.url, scanner.store) as reads:
        for _ in range(20):
            group.create_task(keep_asking(reads))
        for number in range(50):
            pushed = image(str(number).encode())
            async with scanner.pool.acquire() as db:
                await scanner.store.see_tags(db, [(pushed, number + 1, datetime.now(UTC))])
            task = await scanner.ask(pushed, revision=number + 1)
            seen = await reads.newest_task("crr-1", "1.0")
            assert seen is not None
            assert seen.task_id == task.task_id
        stop.set()


async def test_a_caller_that_gives_up_takes_nobody_with_it(scanner: ScannerBench) -> None:
    store = HeldStore()
    task = await scanner.ask(image())
    async with asyncio.TaskGroup() as group, open_tag_reads(scanner.url, store) as reads:
        impatient = group.create_task(reads.newest_task("crr-1", "1.0"))
        patient = group.create_task(reads.newest_task("crr-1", "1.0"))
        await store.reached.wait()
        impatient.cancel()
        store.go.set()
        found = await patient
    assert found is not None
    assert found.task_id == task.task_id
    assert impatient.cancelled()
    assert store.asked == [["1.0"]]


async def test_after_a_lost_connection_the_next_calls_are_answered(scanner: ScannerBench) -> None:
    store = HeldStore()
    await scanner.ask(image())
    async with open_tag_reads(scanner.url, store) as reads:
        store.go.set()
        await reads.newest_task("crr-1", "1.0")
        store.go.clear()
        store.reached.clear()
        asked = asyncio.gather(*(reads.newest_task("crr-1", "1.0") for _ in range(3)), return_exceptions=True)
        await store.reached.wait()
        await scanner.pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drydock status'"
        )
        store.go.set()
        failed = await asked
        assert all(isinstance(error, Exception) for error in failed), failed
        assert await reads.newest_task("crr-1", "1.0") is not None
