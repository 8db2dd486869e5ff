"""Worker processes answer, fail, time out and die without harm to their parent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut
from services.kernel.workers.template import spawn_template
from tests.builders.workers import spawned_workers


@pytest.fixture
def pool() -> WorkerPool:
    """One worker of a template that is an interpreter of its own."""
    return spawned_workers(1, 1 << 30)


def add(a: int, b: int) -> int:
    return a + b


def prepare(what: str) -> None:
    os.environ["PREPARED"] = what


def prepared() -> str:
    return os.environ.get("PREPARED", "")


def refuse() -> None:
    raise ValueError("no")


def fail_as_a_service() -> None:
    raise ServiceError(
        Kind.ABORTED, "BUSY", "Busy.", hint="Wait.", field="f", retry_after=2.0, metadata={"limit": "1"}
    )


def end() -> None:
    os._exit(3)


def knows(module: str) -> bool:
    return module in sys.modules


def hang() -> None:
    signal.pause()


def begin_and_hang(fifo: Path) -> None:
    fifo.write_bytes(b"begun")
    signal.pause()


def swallow_memory() -> int:
    return len(bytearray(2 << 30))


async def until_gone(number: int) -> None:
    async with asyncio.timeout(20):
        while Path(f"/proc/{number}").exists():
            await asyncio.sleep(0.01)


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


async def test_a_worker_that_dies_is_told_and_work_goes_on(pool: WorkerPool) -> None:
    with pytest.raises(WorkerDied):
        await pool.run(20, end)
    assert await pool.run(20, add, 1, 1) == 2


async def test_urgent_work_does_not_wait_for_patient_work() -> None:
    pool = WorkerPool(partial(spawn_template, ()), processes=2, kept=1, memory_bytes=1 << 30)
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        patient = [group.create_task(pool.run_patiently(60, time.sleep, 600)) for _ in range(4)]
        assert await pool.run(20, os.getpid) != os.getpid()
        for task in patient:
            task.cancel()


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


async def test_a_template_that_dies_is_replaced() -> None:
    templates = [spawn_template(())]
    pool = WorkerPool(lambda: templates[-1], processes=1, memory_bytes=1 << 30)
    number = await pool.run(20, os.getpid)
    templates[0].close()
    templates.append(spawn_template(()))
    await until_gone(number)  # it died with its template
    assert await pool.run(20, add, 1, 1) == 2


async def test_an_idle_worker_that_died_is_not_asked(pool: WorkerPool) -> None:
    number = await pool.run(20, os.getpid)
    os.kill(number, signal.SIGKILL)
    await until_gone(number)
    assert await pool.run(20, add, 1, 1) == 2


async def test_workers_know_what_the_template_has_imported() -> None:
    pool = WorkerPool(partial(spawn_template, ("wave",)), processes=1, memory_bytes=1 << 30)
    assert "wave" not in sys.modules
    assert await pool.run(20, knows, "wave")


async def test_workers_have_what_their_template_was_prepared_with(pool: WorkerPool) -> None:
    pool.prepare(prepare, "ready")
    pool.prepare(refuse)

    assert await pool.run(10, prepared) == "ready"


async def test_a_dead_template_is_not_prepared_and_work_goes_on(pool: WorkerPool) -> None:
    pool._template.close()
    pool.prepare(prepare, "ready")

    assert await pool.run(20, add, 1, 2) == 3


async def test_workers_end_with_their_template() -> None:
    template = spawn_template(())
    pool = WorkerPool(lambda: template, processes=1, memory_bytes=1 << 30)
    number = await pool.run(20, os.getpid)
    template.close()
    await until_gone(number)
