"""From a filled outbox to the bus, against publishing the same messages without one."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from services.kernel.bus.interface import SCAN_REQUESTS, Bus, Message
from services.kernel.db import Pool
from services.kernel.embedded.postgres import embedded_postgres
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.wakeup import Wakeups
from tests.benchmarks.figures import Figure, Result, ratio
from tests.builders.ground import a_ground, end

MESSAGES = 10_000
ROUNDS = 5
_BYTES = 400
"""About as long as a scan request."""
_AT_ONCE = 500
"""As many as the relay takes."""


async def measure() -> Result:
    """Moves the same messages both ways in turn, round after round, over PostgreSQL."""
    messages = [
        Message(topic=SCAN_REQUESTS, key=f"key-{number}".encode(), value=os.urandom(_BYTES))
        for number in range(MESSAGES)
    ]
    relayed, direct = [], []
    with tempfile.TemporaryDirectory(prefix="drydock-bench-") as folder:
        async with (
            embedded_postgres(Path(folder)) as url,
            a_ground(url, ("scanner", "services.scanner")) as ground,
        ):
            for _ in range(ROUNDS):
                direct.append(MESSAGES / await _directly(ground.bus, messages))
                relayed.append(MESSAGES / await _relayed(ground.pool, url, ground.bus, messages))
            await end(ground)
    through_outbox = Figure(what="relayed from a full outbox", rounds=tuple(relayed), unit="messages/s")
    published = Figure(what="published directly", rounds=tuple(direct), unit="messages/s")
    return Result(
        question=(
            f"{MESSAGES:,} messages of {_BYTES} bytes, {_AT_ONCE} at a time, onto the PostgreSQL bus: read from "
            "the outbox, published and deleted, against published alone."
        ),
        figures=(ratio("relayed / direct", through_outbox, published), through_outbox, published),
    )


async def _directly(bus: Bus, messages: Sequence[Message]) -> float:
    began = time.perf_counter()
    for first in range(0, len(messages), _AT_ONCE):
        await bus.publish(messages[first : first + _AT_ONCE])
    return time.perf_counter() - began


async def _relayed(pool: Pool, url: str, bus: Bus, messages: Sequence[Message]) -> float:
    outbox = Outbox("scanner")
    async with pool.acquire() as connection, connection.transaction():
        await outbox.add(connection, messages)
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        began = time.perf_counter()
        tasks.create_task(OutboxRelay(url, bus, outbox, Wakeups(url)).run(stopping))
        while await pool.fetchval("SELECT EXISTS (SELECT FROM scanner.outbox)"):
            await asyncio.sleep(0.005)
        seconds = time.perf_counter() - began
        stopping.set()
    return seconds
