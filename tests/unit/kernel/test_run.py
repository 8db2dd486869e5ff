"""How a process lives: its doors close when it is to stop, and its tasks get one budget of time to end in."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from services.kernel.errors import Kind, ServiceError
from services.kernel.run import Process, live


async def test_the_drain_has_one_deadline_for_early_and_late_tasks() -> None:
    returned = 0

    async def early() -> None:  # each that returns leaves another behind, without end
        nonlocal returned
        await asyncio.sleep(0)
        returned += 1
        process.start("early", early())

    async def late() -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        process = Process(tasks, asyncio.Event())
        process.start("early", early())
        process.start("late", late())
        with capture_logs() as logs:
            await process.drain(0.2)
    assert returned > 1
    assert logs == [{"event": "process.drain_ended", "log_level": "warning", "tasks": ["early", "late"]}]


async def test_what_a_task_starts_while_it_ends_is_waited_for() -> None:
    stopping, ended = asyncio.Event(), asyncio.Event()

    async def last() -> None:
        ended.set()

    async def first() -> None:
        await stopping.wait()
        process.start("last", last())

    async with asyncio.TaskGroup() as tasks:
        process = Process(tasks, stopping)
        process.start("first", first())
        stopping.set()
        await process.drain(20)
        assert ended.is_set()


async def test_a_task_that_ends_as_cancelled_though_nobody_cancelled_it_ends_the_process() -> None:
    async def strayed() -> None:
        raise asyncio.CancelledError  # a library lets that of a task of its own escape

    with pytest.raises(ExceptionGroup) as failed:
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            Process(tasks, asyncio.Event()).start("consumer", strayed())
            await asyncio.Event().wait()
    [failure] = failed.value.exceptions
    assert "consumer" in str(failure)


async def test_what_a_process_holds_is_left_as_soon_as_it_is_to_stop() -> None:
    left = asyncio.Event()

    @asynccontextmanager
    async def door() -> AsyncIterator[str]:
        yield "127.0.0.1:1"
        left.set()

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        process = Process(tasks, asyncio.Event())
        assert await process.hold("door", door()) == "127.0.0.1:1"
        assert not left.is_set()
        process.stopping.set()
        await left.wait()


async def test_what_cannot_be_held_is_told_to_whoever_asked_for_it() -> None:
    @asynccontextmanager
    async def door() -> AsyncIterator[None]:
        raise ServiceError(Kind.FAILED_PRECONDITION, "ADDRESS_NOT_AVAILABLE", "Taken.")
        yield

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        process = Process(tasks, asyncio.Event())
        with pytest.raises(ServiceError, match="Taken"):
            await process.hold("door", door())
        await process.drain(20)


async def test_a_second_signal_kills_and_says_no_more_than_that() -> None:
    working = asyncio.Event()

    async def for_ever() -> None:
        working.set()
        await asyncio.Event().wait()

    @asynccontextmanager
    async def compose(process: Process) -> AsyncIterator[None]:
        process.start("for ever", for_ever())
        yield

    with capture_logs() as logs:
        async with asyncio.timeout(20):
            living = asyncio.create_task(live(compose, drain_seconds=60))
            await working.wait()
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGTERM)
                await asyncio.sleep(0)
            await asyncio.wait([living])
    assert living.cancelled()
    assert [log["event"] for log in logs] == ["process.stopping", "process.killed"]
