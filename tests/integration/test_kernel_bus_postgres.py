"""What only the bus over PostgreSQL can get wrong: open transactions, restored databases, arguments of queries."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import Message, Record, Subscription, partition_of
from services.kernel.bus.joined import JoinedBus
from services.kernel.bus.postgres import PostgresBus
from services.kernel.errors import ServiceError
from services.kernel.ids import RandomIds
from services.kernel.run import Readiness
from services.kernel.wakeup import Wakeups
from tests.buses import postgres_bus
from tests.databases import migrated_pool

TOPIC = "drydock.test.v1"


def message(value: str) -> Message:
    return Message(topic=TOPIC, key=b"k", value=value.encode())


async def drain(subscription: Subscription, count: int) -> list[str]:
    values: list[str] = []
    async with asyncio.timeout(20):
        while len(values) < count:
            batch = await subscription.next(1.0)
            if batch is not None:
                values += [record.message.value.decode() for record in batch.records]
                await subscription.commit(batch)
    return values


async def test_a_reader_never_passes_a_message_of_a_transaction_that_is_still_open(database: str) -> None:
    async with postgres_bus(database) as bus, bus.subscribe(group="g", topic=TOPIC) as subscription:
        slow = await asyncpg.connect(database)
        try:
            open_transaction = slow.transaction()
            await open_transaction.start()
            await slow.execute(
                "INSERT INTO bus.message (topic, partition, key, value, headers) "
                "VALUES ($1, $2, $3, 'first', '{}')",
                TOPIC,
                partition_of(b"k"),
                b"k",
            )
            await bus.publish([message("second")])
            assert await subscription.next(1.0) is None
            await open_transaction.commit()
            assert await drain(subscription, 2) == ["first", "second"]
        finally:
            await slow.close()


async def test_a_group_counts_as_joined_once_it_has_a_session_and_not_before(database: str) -> None:
    readiness = Readiness()
    async with postgres_bus(database) as bus, migrated_pool(database) as pool:
        async with JoinedBus(bus, readiness).subscribe(group="g", topic=TOPIC):
            assert await pool.fetchval("SELECT count(*) FROM bus.member WHERE consumer_group = 'g'") == 1
            assert readiness.obstacles() == {}
        away = PostgresBus(pool, "postgresql://nobody@127.0.0.1:1/nothing", Wakeups(database), RandomIds())
        with pytest.raises(ServiceError) as caught:
            async with JoinedBus(away, readiness).subscribe(group="g", topic=TOPIC):
                pytest.fail("there is nothing to join")
    assert caught.value.reason == "BUS_UNAVAILABLE"
    assert readiness.obstacles() == {f"bus g {TOPIC}": "not joined"}


async def test_a_database_restored_into_a_younger_cluster_goes_on_and_loses_nothing(database: str) -> None:
    far = 1 << 40  # transactions that this cluster will not see for long
    async with postgres_bus(database) as bus, migrated_pool(database) as pool:
        for n in range(6):
            await bus.publish([message(str(n))])
        # As the other cluster wrote it: one group has read three of the messages, one had not begun.
        await pool.execute("UPDATE bus.message SET xid = $1 + seq", far)
        third = await pool.fetchrow("SELECT xid, seq FROM bus.message ORDER BY seq OFFSET 2 LIMIT 1")
        assert third is not None
        await pool.execute(
            "INSERT INTO bus.position (consumer_group, topic, partition, xid, seq) VALUES ('g', $1, $2, $3, $4)",
            TOPIC,
            partition_of(b"k"),
            *third,
        )
        await bus.publish([message("new")])
        with capture_logs() as logs:
            async with bus.subscribe(group="g", topic=TOPIC) as subscription:
                assert await drain(subscription, 4) == ["3", "4", "5", "new"]
            async with bus.subscribe(group="late", topic=TOPIC) as subscription:
                assert await drain(subscription, 7) == ["0", "1", "2", "3", "4", "5", "new"]
        assert [log["messages"] for log in logs if log["event"] == "bus.rebased"] == [7]


async def test_a_batch_read_before_the_database_was_restored_moves_no_position(database: str) -> None:
    async with postgres_bus(database) as bus, migrated_pool(database) as pool:
        await bus.publish([message("one")])
        async with bus.subscribe(group="g", topic=TOPIC) as subscription:
            batch = await subscription.next(10)
            assert batch is not None
            stale = dataclasses.replace(batch, token=dataclasses.replace(batch.token, xid=1 << 40))  # type: ignore[type-var]
            await subscription.commit(stale)
        assert await pool.fetchval("SELECT count(*) FROM bus.position") == 0


async def test_messages_that_were_read_out_of_their_numbers_order_come_again_after_a_restore(
    database: str,
) -> None:
    far = 1 << 40
    async with postgres_bus(database) as bus, migrated_pool(database) as pool:
        for n in range(3):
            await bus.publish([message(str(n))])
        # The second message's transaction was the youngest: it is unread, though the third one is read.
        numbers = [row["seq"] for row in await pool.fetch("SELECT seq FROM bus.message ORDER BY seq")]
        for seq, xid in zip(numbers, (far, far + 2, far + 1), strict=True):
            await pool.execute("UPDATE bus.message SET xid = $1 WHERE seq = $2", xid, seq)
        await pool.execute(
            "INSERT INTO bus.position (consumer_group, topic, partition, xid, seq) VALUES ('g', $1, $2, $3, $4)",
            TOPIC,
            partition_of(b"k"),
            far + 1,
            numbers[2],
        )
        async with bus.subscribe(group="g", topic=TOPIC) as subscription:
            assert await drain(subscription, 2) == ["1", "2"]


@pytest.mark.parametrize("query", ["SELECT $1::int", "SELECT $1::text || $2::text"])
async def test_a_record_that_makes_wrong_arguments_of_a_query_is_buried(database: str, query: str) -> None:
    stopping = asyncio.Event()

    async with postgres_bus(database) as bus, migrated_pool(database) as pool:

        async def handler(records: Sequence[Record]) -> None:
            for record in records:
                # What is no number, or too little, is refused on our side of the wire.
                await pool.fetchval(query, record.message.value.decode())

        await bus.publish([message("poison")])
        async with asyncio.timeout(20), bus.subscribe(group="g", topic=f"{TOPIC}.dead") as graves:
            consuming = asyncio.create_task(
                consume(bus, group="g", topic=TOPIC, handler=handler, stopping=stopping)
            )
            assert await drain(graves, 1) == ["poison"]
            stopping.set()
            await consuming


async def test_a_member_keeps_its_batch_for_as_long_as_it_lives(database: str) -> None:
    async with postgres_bus(database) as bus:
        await bus.publish([message("one")])
        async with bus.subscribe(group="g", topic=TOPIC) as slow:
            assert await slow.next(10) is not None
            async with bus.subscribe(group="g", topic=TOPIC) as other:
                assert await other.next(2.5) is None
