"""The PostgreSQL bus when a message lies behind an older transaction that is still open."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from services.kernel.bus import postgres
from services.kernel.bus.interface import Message
from services.kernel.bus.postgres import PostgresBus
from services.kernel.ids import RandomIds
from services.kernel.wakeup import Wakeups, wait
from tests.databases import migrated_pool

TOPIC = "drydock.test.v1"


async def test_it_is_read_soon_after_that_ends_and_not_at_the_next_look_by_the_clock(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_vain = asyncio.Event()

    async def told(news: asyncio.Event, seconds: float) -> bool:
        in_vain.set()
        return await wait(news, seconds)

    monkeypatch.setattr(postgres, "_LOOK_SECONDS", 3600.0)
    monkeypatch.setattr(postgres, "wait", told)
    stopping, wakeups = asyncio.Event(), Wakeups(database)
    older = await asyncpg.connect(database)
    async with (
        asyncio.timeout(20),
        migrated_pool(database, ("bus", "services.kernel.bus")) as pool,
        asyncio.TaskGroup() as group,
        PostgresBus(pool, database, wakeups, RandomIds()).subscribe(group="g", topic=TOPIC) as subscription,
    ):
        group.create_task(wakeups.run(stopping))
        transaction = older.transaction()
        await transaction.start()
        await older.execute("SELECT pg_current_xact_id()")
        message = Message(topic=TOPIC, key=b"k", value=b"v")
        await PostgresBus(pool, database, wakeups, RandomIds()).publish([message])
        assert await subscription.next(0.2) is None  # woken, and looked in vain
        in_vain.clear()
        reading = group.create_task(subscription.next(3600))
        await in_vain.wait()  # it looks in vain once more
        await transaction.rollback()
        batch = await reading
        stopping.set()
    await older.close()
    assert batch is not None
    assert [record.message.value for record in batch.records] == [b"v"]
