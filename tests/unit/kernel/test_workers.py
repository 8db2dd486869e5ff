"""Worker processes answer, fail, time out and die without harm to their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.workers.forked import fork_workers
from services.kernel.workers.interface import WorkerDied, Workers, WorkerTimedOut
from services.kernel.workers.spawned import SpawnedWorkers


@pytest.fixture(params=["spawned", "forked"])
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """One spawned worker, which is replaced when it dies; two forked ones, of which the other goes on then."""
    if request.param == "spawned":
        yield SpawnedWorkers(processes=1, memory_bytes=1 << 30)
    else:
        monkeypatch.setattr(threading, "active_count", lambda: 1)  # the suite's own threads are idle
        with fork_workers(processes=2, memory_bytes=1 << 30) as workers:
            yield workers


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


async def test_work_is_done_elsewhere(pool: Workers) -> None:
    assert await pool.run(20, add, 1, b=2) == 3
    assert await pool.run(20, os.getpid) != os.getpid()


async def test_an_exception_of_the_work_comes_back(pool: Workers) -> None:
    with pytest.raises(ValueError, match="no"):
        await pool.run(20, refuse)


async def test_a_failure_keeps_all_its_facts(pool: Workers) -> None:
    with pytest.raises(ServiceError) as caught:
        await pool.run(20, fail_as_a_service)
    error = caught.value
    assert (error.kind, error.reason, str(error), error.hint) == (Kind.ABORTED, "BUSY", "Busy.", "Wait.")
    assert (error.field, error.retry_after, error.metadata) == ("f", 2.0, {"limit": "1"})


async def test_a_worker_that_dies_is_told_and_work_goes_on(pool: Workers) -> None:
    with pytest.raises(WorkerDied):
        await pool.run(20, end)
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_that_takes_too_long_is_killed(pool: Workers) -> None:
    with pytest.raises(WorkerTimedOut):
        await pool.run(0.5, hang)
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_that_is_cancelled_is_killed(pool: Workers, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    task = asyncio.create_task(pool.run(60, begin_and_hang, fifo))
    assert await asyncio.to_thread(fifo.read_bytes) == b"begun"
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await pool.run(20, add, 1, 1) == 2


async def test_work_beyond_its_memory_fails_alone(pool: Workers) -> None:
    with pytest.raises(WorkerDied):
        await pool.run(20, swallow_memory)
    assert await pool.run(20, add, 1, 1) == 2


async def test_forked_workers_that_have_all_died_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with fork_workers(processes=1, memory_bytes=1 << 30) as workers:
        for _ in range(2):
            with pytest.raises(WorkerDied):
                await workers.run(20, end)


async def test_forked_workers_end_with_their_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    with fork_workers(processes=1, memory_bytes=1 << 30) as workers:
        number = await workers.run(20, os.getpid)
    with pytest.raises(ProcessLookupError):
        os.kill(number, 0)


def test_a_process_with_threads_is_not_forked() -> None:
    ending = threading.Event()
    thread = threading.Thread(target=ending.wait)
    thread.start()
    try:
        with pytest.raises(RuntimeError), fork_workers(processes=1, memory_bytes=1 << 30):
            pass
    finally:
        ending.set()
        thread.join()
