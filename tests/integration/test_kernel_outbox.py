"""The outbox: what is committed is published, what is rolled back is not, and the order of a key is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from services.kernel.bus.interface import MAX_MESSAGE_BYTES, Message
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.wakeup import Wakeups
from tests.databases import migrated_pool


class Publisher:
    """A bus as far as the relay knows it: it remembers, and can be away."""

    def __init__(self) -> None:
        self.published: list[Message] = []
        self.away = 0
        self.news = asyncio.Event()

    async def publish(self, messages: Sequence[Message]) -> None:
        if self.away:
            self.away -= 1
            raise ServiceError(Kind.UNAVAILABLE, "BUS_UNAVAILABLE", "away")
        self.published += messages
        self.news.set()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with migrated_pool(database, ("scanner", "services.scanner")) as opened:
        yield opened


async def relayed(database: str, publisher: Publisher, count: int) -> list[bytes]:
    stopping, wakeups = asyncio.Event(), Wakeups(database)
    relay = OutboxRelay(database, publisher, Outbox("scanner"), wakeups)  # type: ignore[arg-type]  # the part it uses
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(wakeups.run(stopping))
        tasks.create_task(relay.run(stopping))
        while len(publisher.published) < count:
            publisher.news.clear()
            await publisher.news.wait()
        stopping.set()
    return [message.value for message in publisher.published]


def message(value: str) -> Message:
    return Message(topic="t", key=b"k", value=value.encode(), headers={"h": value})


async def test_committed_messages_are_published_in_order_and_leave_the_outbox(pool: Pool, database: str) -> None:
    outbox = Outbox("scanner")
    for n in range(3):
        async with pool.acquire() as db, db.transaction():
            await outbox.add(db, [message(f"{n}a"), message(f"{n}b")])
    values = await relayed(database, Publisher(), 6)
    assert values == [b"0a", b"0b", b"1a", b"1b", b"2a", b"2b"]
    assert await pool.fetchval("SELECT count(*) FROM scanner.outbox") == 0


async def test_a_change_that_is_rolled_back_tells_nothing(pool: Pool, database: str) -> None:
    outbox = Outbox("scanner")
    with pytest.raises(RuntimeError):
        async with pool.acquire() as db, db.transaction():
            await outbox.add(db, [message("never")])
            raise RuntimeError
    async with pool.acquire() as db, db.transaction():
        await outbox.add(db, [message("told")])
    assert await relayed(database, Publisher(), 1) == [b"told"]


async def test_a_message_that_no_bus_takes_is_refused_with_the_change_that_it_tells_of(
    pool: Pool, database: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        async with pool.acquire() as db, db.transaction():
            await Outbox("scanner").add(db, [message("small"), message("x" * MAX_MESSAGE_BYTES)])
    assert caught.value.reason == "MESSAGE_TOO_LARGE"
    async with pool.acquire() as db, db.transaction():
        await Outbox("scanner").add(db, [message("told")])
    assert await relayed(database, Publisher(), 1) == [b"told"]


async def test_messages_wait_while_the_bus_is_away(pool: Pool, database: str) -> None:
    async with pool.acquire() as db, db.transaction():
        await Outbox("scanner").add(db, [message("patient")])
    publisher = Publisher()
    publisher.away = 2
    assert await relayed(database, publisher, 1) == [b"patient"]
