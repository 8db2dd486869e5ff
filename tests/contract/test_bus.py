"""What every bus promises; run on each implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import (
    DEAD_SUFFIX,
    MAX_MESSAGE_BYTES,
    Batch,
    Bus,
    Kept,
    Message,
    Place,
    Record,
    Subscription,
)
from services.kernel.errors import Kind, ServiceError, invalid
from tests.buses import OpenBus


@pytest.fixture
async def bus(each_bus: OpenBus, topic: str) -> AsyncIterator[Bus]:
    async with each_bus(topic) as made:
        yield made


def message(topic: str, value: str, key: str = "k") -> Message:
    return Message(topic=topic, key=key.encode(), value=value.encode(), headers={"n": value})


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


async def next_batch(subscription: Subscription) -> Batch:
    async with asyncio.timeout(20):
        while (batch := await subscription.next(1.0)) is None:
            pass
    return batch


async def test_messages_of_one_key_arrive_in_order(bus: Bus, topic: str) -> None:
    async with bus.subscribe(group="g", topic=topic) as subscription:
        for n in range(20):
            await bus.publish([message(topic, f"{n}-a"), message(topic, f"{n}-b")])
        assert await drain(subscription, 40) == [f"{n}-{x}" for n in range(20) for x in "ab"]


async def test_headers_and_key_come_back_as_they_were(bus: Bus, topic: str) -> None:
    sent = Message(topic=topic, key=b"\x00\xff", value=b"\x01\x00", headers={"traceparent": "00-ä"})
    await bus.publish([sent])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        batch = await subscription.next(10)
        assert batch is not None
        assert batch.records[0].message == sent


async def test_a_new_group_begins_at_the_oldest_message(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "early")])
    async with bus.subscribe(group="late", topic=topic) as subscription:
        assert await drain(subscription, 1) == ["early"]


async def test_uncommitted_records_come_again_to_the_next_member(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "one")])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert await drain(subscription, 1, commit=False) == ["one"]
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert await drain(subscription, 1) == ["one"]


async def test_committed_records_do_not_come_again(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "one")])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        await drain(subscription, 1)
    await bus.publish([message(topic, "two")])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert await drain(subscription, 1) == ["two"]


async def test_each_group_gets_every_message(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "one")])
    for group in ("a", "b"):
        async with bus.subscribe(group=group, topic=topic) as subscription:
            assert await drain(subscription, 1) == ["one"]


async def test_two_members_share_a_topic_and_each_message_goes_to_one_of_them(bus: Bus, topic: str) -> None:
    seen: dict[str, list[str]] = {"a": [], "b": []}

    async def read(name: str, done: asyncio.Event) -> None:
        async with bus.subscribe(group="g", topic=topic) as subscription:
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
            await bus.publish([message(topic, str(n), key=str(n)) for n in range(sent, sent + 50)])
            sent += 50
            await progress.wait()
        while len(seen["a"]) + len(seen["b"]) < sent:
            progress.clear()
            await progress.wait()
        done.set()
    assert sorted(seen["a"] + seen["b"], key=int) == [str(n) for n in range(sent)]


async def test_a_member_that_dies_leaves_its_messages_to_the_others(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "one")])
    dying = bus.subscribe(group="g", topic=topic)
    subscription = await dying.__aenter__()
    assert await drain(subscription, 1, commit=False) == ["one"]
    async with bus.subscribe(group="g", topic=topic) as survivor:
        await dying.__aexit__(None, None, None)
        assert await drain(survivor, 1) == ["one"]


async def test_a_poison_message_is_buried_with_its_error_and_the_rest_goes_on(bus: Bus, topic: str) -> None:
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

    await bus.publish([message(topic, "before"), message(topic, "poison"), message(topic, "after")])
    async with asyncio.timeout(20):
        await consume(bus, group="g", topic=topic, handler=handler, stopping=stopping)
    assert handled == ["before", "after"]
    async with bus.subscribe(group="g", topic=topic + DEAD_SUFFIX) as graves:
        batch = await graves.next(10)
    assert batch is not None
    assert batch.records[0].message.value == b"poison"
    assert batch.records[0].message.headers["drydock-reason"] == "BAD_EVENT"
    assert batch.records[0].message.headers["drydock-topic"] == topic


async def test_a_handler_that_cannot_work_now_gets_the_same_records_again(bus: Bus, topic: str) -> None:
    stopping = asyncio.Event()
    tries = 0

    async def handler(records: object) -> None:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise ServiceError(Kind.UNAVAILABLE, "DATABASE_UNAVAILABLE", "away")
        stopping.set()

    await bus.publish([message(topic, "one")])
    async with asyncio.timeout(20):
        await consume(bus, group="g", topic=topic, handler=handler, stopping=stopping)
    assert tries == 2


async def test_a_batch_that_was_not_committed_comes_again_to_the_same_member(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "one")])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert await drain(subscription, 1, commit=False) == ["one"]
        assert await drain(subscription, 1) == ["one"]


async def test_committing_an_old_batch_again_moves_no_position_back(bus: Bus, topic: str) -> None:
    async with bus.subscribe(group="g", topic=topic) as subscription:
        await bus.publish([message(topic, "one")])
        first = await next_batch(subscription)
        await subscription.commit(first)
        await bus.publish([message(topic, "two")])
        await subscription.commit(await next_batch(subscription))
        await subscription.commit(first)
    await bus.publish([message(topic, "three")])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert await drain(subscription, 1) == ["three"]


async def test_a_group_lags_by_what_it_has_not_committed(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, str(n), key=str(n)) for n in range(20)])
    assert await bus.lag("g", topic) == 20
    async with bus.subscribe(group="g", topic=topic) as subscription:
        await drain(subscription, 20)
        await bus.publish([message(topic, "more")])
        assert await bus.lag("g", topic) == 1
    assert await bus.lag("other", topic) == 21


async def test_browsing_finds_everything_page_by_page_and_moves_no_group(bus: Bus, topic: str) -> None:
    sent = [message(topic, str(n), key=str(n % 7)) for n in range(50)]
    before = datetime.now(UTC)
    await bus.publish(sent)
    found: list[Kept] = []
    start: Place | None = None
    while True:
        excerpt = await bus.browse(topic, start=start, limit=8)
        assert len(excerpt.kept) <= 8
        found += excerpt.kept
        start = excerpt.next
        if start is None:
            break
    places = [(kept.record.partition, kept.record.position) for kept in found]
    assert len(set(places)) == 50
    assert [place[0] for place in places] == sorted(place[0] for place in places)
    assert sorted(kept.record.message.value for kept in found) == sorted(m.value for m in sent)
    for key in range(7):
        values = [int(k.record.message.value) for k in found if k.record.message.key == b"%d" % key]
        assert values == sorted(values)
    for kept in found:
        assert abs(kept.published_at - before) < timedelta(minutes=1)
    assert await bus.lag("g", topic) == 50


async def test_browsing_from_a_place_begins_with_what_stands_there(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, value) for value in ("one", "two", "three")])
    second = (await bus.browse(topic, limit=10)).kept[1].record
    place = Place(partition=second.partition, position=second.position)
    excerpt = await bus.browse(topic, start=place, limit=1)
    assert [kept.record for kept in excerpt.kept] == [second]


async def test_a_look_into_a_topic_stays_small_when_its_messages_are_large(bus: Bus, topic: str) -> None:
    for n in range(5):
        await bus.publish([Message(topic=topic, key=b"k", value=b"%d" % n * 3_000_000)])
    excerpt = await bus.browse(topic, limit=100)
    assert [kept.record.message.value[:1] for kept in excerpt.kept] == [b"0", b"1", b"2"]
    rest = await bus.browse(topic, start=excerpt.next, limit=100)
    assert [kept.record.message.value[:1] for kept in rest.kept] == [b"3", b"4"]
    assert rest.next is None


async def test_an_empty_topic_has_nothing_to_look_at(bus: Bus, topic: str) -> None:
    excerpt = await bus.browse(topic, limit=5)
    assert (excerpt.kept, excerpt.next) == ((), None)


@pytest.mark.parametrize(
    "place",
    [
        Place(partition=0, position=""),
        Place(partition=0, position="x"),
        Place(partition=-1, position="0"),
        Place(partition=10_000, position="0/0"),
        Place(partition=0, position="9" * 40),
        Place(partition=0, position="\u0661"),
    ],
)
async def test_a_place_that_cannot_be_is_refused(bus: Bus, topic: str, place: Place) -> None:
    with pytest.raises(ServiceError) as caught:
        await bus.browse(topic, start=place, limit=5)
    assert caught.value.reason == "INVALID_PLACE"


async def test_a_message_that_is_too_large_is_refused_and_the_others_go_on(bus: Bus, topic: str) -> None:
    with pytest.raises(ServiceError) as caught:
        await bus.publish([Message(topic=topic, key=b"k", value=b"x" * (MAX_MESSAGE_BYTES + 1))])
    assert (caught.value.kind, caught.value.reason) == (Kind.INVALID_ARGUMENT, "MESSAGE_TOO_LARGE")
    largest = Message(topic=topic, key=b"", value=b"x" * MAX_MESSAGE_BYTES)
    await bus.publish([largest])
    async with bus.subscribe(group="g", topic=topic) as subscription:
        assert (await next_batch(subscription)).records[0].message == largest


def positions(kept: tuple[Kept, ...], known: dict[int, str] | None = None) -> dict[int, str]:
    return {**(known or {}), **{one.record.partition: one.record.position for one in kept}}


async def test_whoever_reads_on_behind_its_places_gets_every_message_once(bus: Bus, topic: str) -> None:
    sent = [message(topic, str(n), key=str(n % 11)) for n in range(40)]
    await bus.publish(sent)
    after: dict[int, str] = {}
    read: list[Message] = []
    async with asyncio.timeout(60):
        while kept := await bus.tail(topic, after=after, limit=7):
            assert len(kept) <= 7
            read += [one.record.message for one in kept]
            after = positions(kept, after)
    assert sorted(each.value for each in read) == sorted(each.value for each in sent)
    for key in {each.key for each in sent}:
        assert [m.value for m in read if m.key == key] == [m.value for m in sent if m.key == key]
    await bus.publish([message(topic, "later")])
    assert [one.record.message.value for one in await bus.tail(topic, after=after, limit=7)] == [b"later"]


async def test_whoever_reads_since_a_moment_gets_what_was_published_then(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "early", key=str(n)) for n in range(20)])
    await asyncio.sleep(0.05)  # the clock is the bus's own: the moment must lie between
    early = await bus.tail(topic, after={}, limit=100)
    moment = max(one.published_at for one in early) + timedelta(milliseconds=20)
    await bus.publish([message(topic, "late", key=str(n)) for n in range(20)])
    late = await bus.tail(topic, after={}, since=moment, limit=100)
    assert {one.record.message.value for one in late} == {b"late"}
    assert len(late) == 20
    assert await bus.tail(topic, after=positions(late), since=moment, limit=100) == ()


async def test_nobody_reads_on_behind_a_place_that_cannot_be(bus: Bus, topic: str) -> None:
    for after in ({0: "nowhere"}, {99: "1"}):
        with pytest.raises(ServiceError) as caught:
            await bus.tail(topic, after=after, limit=1)
        assert caught.value.reason == "INVALID_PLACE"


async def test_a_tombstone_comes_back_with_its_key_and_no_value(bus: Bus, topic: str) -> None:
    await bus.publish([message(topic, "")])
    [kept] = await bus.tail(topic, after={}, limit=1)
    assert (kept.record.message.key, kept.record.message.value) == (b"k", b"")
