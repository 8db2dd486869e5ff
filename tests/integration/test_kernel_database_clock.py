"""The clock that processes share: set by the database, moved by nothing else."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from services.kernel import clock as machine
from services.kernel.database_clock import open_clock
from services.kernel.db import open_pool
from services.kernel.run import Process


async def test_the_time_is_the_databases_whatever_this_machine_says(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong(datetime):
        @classmethod
        def now(cls, tz: object = None) -> Wrong:
            return cls(1999, 1, 1, tzinfo=UTC)

    monkeypatch.setattr(machine, "datetime", Wrong)
    stopping = asyncio.Event()
    async with open_pool(database, application_name="tests") as pool, asyncio.TaskGroup() as tasks:
        async with open_clock(Process(tasks, stopping), pool) as clock:
            before = await pool.fetchval("SELECT clock_timestamp()")
            moment = clock.now()
            after = await pool.fetchval("SELECT clock_timestamp()")
        stopping.set()
    slack = timedelta(seconds=0.5)
    assert before - slack <= moment <= after + slack
    assert machine.SystemClock().now().year == 1999


async def test_the_time_goes_on_while_the_database_is_away(database: str) -> None:
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        async with (
            open_pool(database, application_name="tests") as pool,
            open_clock(Process(tasks, stopping), pool) as clock,
        ):
            first = clock.now()
        stopping.set()
        assert timedelta() < clock.now() - first < timedelta(seconds=30)
