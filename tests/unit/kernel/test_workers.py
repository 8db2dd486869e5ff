"""Worker processes answer, fail, time out and die without harm to their parent."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.workers import WorkerDied, WorkerPool, WorkerTimedOut


@pytest.fixture
def pool() -> WorkerPool:
    return WorkerPool(processes=1, memory_bytes=1 << 30)


def add(a: int, b: int) -> int:
    return a + b


def refuse() -> None:
    raise ValueError("no")


def fail_as_a_service() -> None:
    raise ServiceError(
        Kind.ABORTED, "BUSY", "Busy.", hint="Wait.", field="f", retry_after=2.0, metadata={"limit": "1"}
    )


def end() -> None:
    os._exit(3)


def hang() -> None:
    signal.pause()


def begin_and_hang(fifo: Path) -> None:
    fifo.write_bytes(b"begun")
    signal.pause()


def swallow_memory() -> int:
    return len(bytearray(2 << 30))


async def test_work_is_done_elsewhere(pool: WorkerPool) -> None:
    assert await pool.run(20, add, 1, b=2) == 3
    assert await pool.run(20, os.getpid) != os.getpid()


async def test_an_exception_of_the_work_comes_back(pool: WorkerPool) -> None:
    with pytest.raises(ValueError, match="no"):
        await pool.run(20, refuse)


async def test_a_failure_keeps_all_its_facts(pool: WorkerPool) -> None:
    with pytest.raises(ServiceError) as caught:
        await pool.run(20, fail_as_a_service)
    error = caught.value
    assert (error.kind, error.reason, str(error), error.hint) == (Kind.ABORTED, "BUSY", "Busy.", "Wait.")
    assert (error.field, error.retry_after, error.metadata) == ("f", 2.0, {"limit": "1"})


async def test_a_worker_that_dies_is_told_and_replaced(pool: WorkerPool) -> None:
    with pytest.raises(WorkerDied):
        await pool.run(20, end)
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_that_takes_too_long_is_killed(pool: WorkerPool) -> None:
    with pytest.raises(WorkerTimedOut):
        await pool.run(0.5, hang)
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_that_is_cancelled_is_killed(pool: WorkerPool, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = asyncio.create_task(pool.run(60, begin_and_hang, fifo))
    assert await asyncio.to_thread(fifo.read_bytes) == b"begun"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_beyond_its_memory_fails_alone(pool: WorkerPool) -> None:
    with pytest.raises(WorkerDied):
        await pool.run(20, swallow_memory)
    assert await pool.run(20, add, 1, 1) == 2
