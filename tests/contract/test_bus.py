"""What every bus promises; run on each implementation."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import asyncpg
import pytest
from structlog.testing import capture_logs

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import Bus, Message, Record, Subscription
from services.kernel.bus.postgres import PostgresBus, partition_of
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.ids import RandomIds
from services.kernel.wakeup import Wakeups
from tests.databases import migrated_pool

TOPIC = "drydock.test.v1"


@asynccontextmanager
async def postgres_bus(url: str) -> AsyncIterator[Bus]:
    async with migrated_pool(url, ("bus", "services.kernel.bus")) as pool:
        wakeups = Wakeups(url)
        stopping = asyncio.Event()
        listening = asyncio.create_task(wakeups.run(stopping))
        try:
            yield PostgresBus(pool, url, wakeups, RandomIds())
        finally:
            stopping.set()
            await listening


@pytest.fixture
async def bus(database: str) -> AsyncIterator[Bus]:
    async with postgres_bus(database) as made:
        yield made


def message(value: str, key: str = "k") -> Message:
    return Message(topic=TOPIC, key=key.encode(), value=value.encode(), headers={"n": value})


async def drain(subscription: Subscription, count: int, *, commit: bool = True) -> list[str]:
    values: list[str] = []
    async with asyncio.timeout(20):
        while len(values) < count:
            batch = await subscription.next(1.0)
            if batch is None:
                continue
            values += [record.message.value.decode() for record in batch.records]
            if commit:
                await subscription.commit(batch)
    return values


async def test_messages_of_one_key_arrive_in_order(bus: Bus) -> None:
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        for n in range(20):
            await bus.publish([message(f"{n}-a"), message(f"{n}-b")])
        assert await drain(subscription, 40) == [f"{n}-{x}" for n in range(20) for x in "ab"]


async def test_headers_and_key_come_back_as_they_were(bus: Bus) -> None:
    sent = Message(topic=TOPIC, key=b"\x00\xff", value=b"\x01\x00", headers={"traceparent": "00-ä"})
    await bus.publish([sent])
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        batch = await subscription.next(10)
        assert batch is not None
        assert batch.records[0].message == sent


async def test_a_new_group_begins_at_the_oldest_message(bus: Bus) -> None:
    await bus.publish([message("early")])
    async with bus.subscribe(group="late", topic=TOPIC) as subscription:
        assert await drain(subscription, 1) == ["early"]


async def test_uncommitted_records_come_again_to_the_next_member(bus: Bus) -> None:
    await bus.publish([message("one")])
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        assert await drain(subscription, 1, commit=False) == ["one"]
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        assert await drain(subscription, 1) == ["one"]


async def test_committed_records_do_not_come_again(bus: Bus) -> None:
    await bus.publish([message("one")])
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        await drain(subscription, 1)
    await bus.publish([message("two")])
    async with bus.subscribe(group="g", topic=TOPIC) as subscription:
        assert await drain(subscription, 1) == ["two"]


async def test_each_group_gets_every_message(bus: Bus) -> None:
    await bus.publish([message("one")])
    for group in ("a", "b"):
        async with bus.subscribe(group=group, topic=TOPIC) as subscription:
            assert await drain(subscription, 1) == ["one"]


async def test_two_members_share_a_topic_and_each_message_goes_to_one_of_them(bus: Bus) -> None:
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def read(name: str, done: asyncio.Event) -> None:
        async with bus.subscribe(group="g", topic=TOPIC) as subscription:
            while not done.is_set():
                batch = await subscription.next(0.2)
                if batch is not None:
                    seen[name] += [record.message.value.decode() for record in batch.records]
                    await subscription.commit(batch)
                    progress.set()

    done, progress = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as tasks:
        for name in seen:
            tasks.create_task(read(name, done))
        sent = 0
        while not (seen["a"] and seen["b"]):  # the second member joins when it joins
            progress.clear()
            await bus.publish([message(str(n), key=str(n)) for n in range(sent, sent + 50)])
            sent += 50
            await progress.wait()
        while len(seen["a"]) + len(seen["b"]) < sent:
            progress.clear()
            await progress.wait()
        done.set()
    assert sorted(seen["a"] + seen["b"], key=int) == [str(n) for n in range(sent)]


async def test_a_member_that_dies_leaves_its_messages_to_the_others(bus: Bus) -> None:
    await bus.publish([message("one")])
    dying = bus.subscribe(group="g", topic=TOPIC)
    subscription = await dying.__aenter__()
    assert await drain(subscription, 1, commit=False) == ["one"]
    async with bus.subscribe(group="g", topic=TOPIC) as survivor:
        assert await survivor.next(0.5) is None
        await dying.__aexit__(None, None, None)
        assert await drain(survivor, 1) == ["one"]


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


async def test_a_poison_message_is_buried_with_its_error_and_the_rest_goes_on(bus: Bus) -> None:
    stopping = asyncio.Event()
    handled: list[str] = []

    async def handler(records: object) -> None:
        assert isinstance(records, tuple | list)
        for record in records:
            assert isinstance(record, Record)
            value = record.message.value.decode()
            if value == "poison":
                raise invalid("BAD_EVENT", "This event cannot be read.")
        handled.extend(record.message.value.decode() for record in records)
        if "after" in handled:
            stopping.set()

    await bus.publish([message("before"), message("poison"), message("after")])
    async with asyncio.timeout(20):
        await consume(bus, group="g", topic=TOPIC, handler=handler, stopping=stopping)
    assert handled == ["before", "after"]
    async with bus.subscribe(group="g", topic=f"{TOPIC}.dead") as graves:
        batch = await graves.next(10)
    assert batch is not None
    assert batch.records[0].message.value == b"poison"
    assert batch.records[0].message.headers["drydock-reason"] == "BAD_EVENT"
    assert batch.records[0].message.headers["drydock-topic"] == TOPIC


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


async def test_a_handler_that_cannot_work_now_gets_the_same_records_again(bus: Bus) -> None:
    stopping = asyncio.Event()
    tries = 0

    async def handler(records: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ServiceError(Kind.UNAVAILABLE, "DATABASE_UNAVAILABLE", "away")
        stopping.set()

    await bus.publish([message("one")])
    async with asyncio.timeout(20):
        await consume(bus, group="g", topic=TOPIC, handler=handler, stopping=stopping)
    assert tries == 2
