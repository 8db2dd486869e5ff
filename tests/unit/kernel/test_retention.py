"""A job of retention is done at intervals, outlives an outage, and ends with its process."""

from __future__ import annotations

import asyncio

import pytest

from services.kernel.retention import every


async def test_the_job_is_done_at_once_and_again_also_after_an_outage() -> None:
    stopping, outcomes = asyncio.Event(), [ConnectionRefusedError(), None, TimeoutError(), None]

    async def job(ending: asyncio.Event) -> None:
        assert ending is stopping
        outcome = outcomes.pop(0)
        if not outcomes:
            stopping.set()
        if outcome is not None:
            raise outcome

    async with asyncio.timeout(20):
        await every(0.001, job, stopping, name="job")
    assert not outcomes


async def test_a_fault_of_the_job_is_not_swallowed() -> None:
    async def job(_: asyncio.Event) -> None:
        raise RuntimeError("a fault")

    with pytest.raises(RuntimeError, match="a fault"):
        await every(60, job, asyncio.Event(), name="job")


async def test_nothing_is_done_when_the_process_ends_already() -> None:
    done = 0

    async def job(_: asyncio.Event) -> None:
        nonlocal done
        done += 1

    stopping = asyncio.Event()
    stopping.set()
    await every(60, job, stopping, name="job")
    assert done == 0
