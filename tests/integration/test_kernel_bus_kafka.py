"""The bus over Kafka when things go wrong: brokers that die or fall silent, members that die, slow handlers."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pydantic import SecretStr

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import Batch, Bus, Message, Record, Subscription
from services.kernel.bus.kafka import open_kafka_bus
from services.kernel.bus.kafka_consumer import Membership
from services.kernel.bus.kafka_settings import KafkaSettings, client_arguments
from services.kernel.bus.kafka_topics import Topic, ensure_topics
from services.kernel.errors import Kind, ServiceError
from tests.buses import MEMBERSHIP, SessionBroker

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
async def broker_afterwards(kafka: SessionBroker) -> AsyncIterator[None]:
    await kafka.ready()
    yield
    kafka.thaw()
    await kafka.ready()


def message(topic: str, value: str, key: str = "k") -> Message:
    return Message(topic=topic, key=key.encode(), value=value.encode())


async def next_batch(subscription: Subscription) -> Batch:
    async with asyncio.timeout(60):
        while (batch := await subscription.next(1.0)) is None:
            pass
    return batch


def values(batch: Batch) -> list[str]:
    return [record.message.value.decode() for record in batch.records]


async def everything(bus: Bus, topic: str) -> list[str]:
    return [kept.record.message.value.decode() for kept in (await bus.browse(topic, limit=100_000)).kept]


def first_times(seen: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(seen))


async def until_published(bus: Bus, sent: Message) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                return await bus.publish([sent])
            except ServiceError as error:
                assert error.reason == "BUS_UNAVAILABLE"


async def test_no_confirmed_message_is_lost_when_the_broker_is_killed(kafka: SessionBroker, topic: str) -> None:
    confirmed: list[str] = []
    progress = asyncio.Event()

    async def publish_for_ever(bus: Bus) -> None:
        number = 0
        while True:
            try:
                await bus.publish([message(topic, str(number))])
            except ServiceError as error:
                assert error.reason == "BUS_UNAVAILABLE"
            else:
                confirmed.append(str(number))
                progress.set()
            number += 1

    async def until_confirmed(count: int) -> None:
        async with asyncio.timeout(60):
            while len(confirmed) < count:
                progress.clear()
                await progress.wait()

    async with kafka.bus(topic, publish_seconds=2.0) as bus, asyncio.TaskGroup() as tasks:
        publishing = tasks.create_task(publish_for_ever(bus))
        for _ in range(3):
            await until_confirmed(len(confirmed) + 50)
            kafka.kill()
            await kafka.ready()
        await until_confirmed(len(confirmed) + 50)
        publishing.cancel()
        found = await everything(bus, topic)

    assert set(confirmed) <= set(found)
    assert [int(value) for value in first_times(found)] == sorted(map(int, set(found)))


async def test_what_follows_records_that_waited_for_a_slow_handler_does_not_lie_at_the_broker(
    kafka: SessionBroker, topic: str
) -> None:
    loop = asyncio.get_running_loop()
    lay: list[float] = []
    async with kafka.bus(topic) as bus, bus.subscribe(group=topic, topic=topic) as subscription:

        async def take(value: str) -> None:
            batch = await next_batch(subscription)
            assert values(batch) == [value]
            await subscription.commit(batch)

        for number in range(5):
            await bus.publish([message(topic, f"first {number}")])
            await take(f"first {number}")
            await bus.publish([message(topic, f"waits {number}")])
            await asyncio.sleep(0.2)  # the handler works: what is fetched beside it leaves this partition out
            await take(f"waits {number}")
            await bus.publish([message(topic, f"follows {number}")])
            began = loop.time()
            await take(f"follows {number}")
            lay.append(loop.time() - began)
    assert min(lay) < 0.2, lay


async def test_a_publish_is_refused_in_time_and_never_sent_later(kafka: SessionBroker, topic: str) -> None:
    async with kafka.bus(topic, publish_seconds=1.0) as bus:
        await until_published(bus, message(topic, "before"))
        kafka.kill()
        async with asyncio.timeout(8):
            with pytest.raises(ServiceError) as caught:
                await bus.publish([message(topic, "refused")])
        assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "BUS_UNAVAILABLE")
        await kafka.ready()
        await until_published(bus, message(topic, "after"))
        assert first_times(await everything(bus, topic)) == ["before", "after"]


async def test_what_a_silent_broker_had_already_got_does_not_come_after_newer_messages(
    kafka: SessionBroker, topic: str
) -> None:
    async with kafka.bus(topic, publish_seconds=1.0) as bus:
        await until_published(bus, message(topic, "before"))
        kafka.freeze()
        with pytest.raises(ServiceError):
            await bus.publish([message(topic, "uncertain")])
        kafka.thaw()
        await until_published(bus, message(topic, "after"))
        found = first_times(await everything(bus, topic))
    assert found in (["before", "uncertain", "after"], ["before", "after"])


async def test_consumers_and_producers_go_on_after_an_outage_without_a_restart(
    kafka: SessionBroker, topic: str
) -> None:
    handled: list[str] = []
    news, stopping = asyncio.Event(), asyncio.Event()

    async def handler(records: Sequence[Record]) -> None:
        handled.extend(record.message.value.decode() for record in records)
        news.set()

    async def until_handled(value: str) -> None:
        async with asyncio.timeout(60):
            while value not in handled:
                news.clear()
                await news.wait()

    async with kafka.bus(topic, publish_seconds=1.0) as bus, asyncio.TaskGroup() as tasks:
        tasks.create_task(consume(bus, group="g", topic=topic, handler=handler, stopping=stopping))
        await until_published(bus, message(topic, "before"))
        await until_handled("before")
        kafka.kill()
        for _ in range(3):  # long enough for every client to notice
            with pytest.raises(ServiceError):
                await bus.publish([message(topic, "refused")])
        await kafka.ready()
        await until_published(bus, message(topic, "after"))
        await until_handled("after")
        stopping.set()
    assert first_times(handled) == ["before", "after"]


_MEMBER = """
import asyncio, sys
from services.kernel.bus.kafka import open_kafka_bus
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.bus.kafka_topics import with_graves
from tests.buses import MEMBERSHIP

async def main(servers, topic):
    topics = with_graves([topic])
    async with open_kafka_bus(servers, KafkaSettings(), keep_days=1, topics=topics, membership=MEMBERSHIP) as bus:
        async with bus.subscribe(group="g", topic=topic) as subscription:
            while (batch := await subscription.next(1.0)) is None:
                pass
            print(batch.records[0].message.value.decode(), flush=True)
            await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_what_a_killed_member_had_in_hand_comes_again(kafka: SessionBroker, topic: str) -> None:
    root = Path(__file__).parents[2]
    settings = kafka.settings
    environment = {
        "PYTHONPATH": f"{root}:{root / 'protos' / 'gen'}",
        "DRYDOCK_KAFKA_SECURITY": settings.security,
        "DRYDOCK_KAFKA_SASL_MECHANISM": settings.sasl_mechanism,
        "DRYDOCK_KAFKA_USERNAME": settings.username,
        "DRYDOCK_KAFKA_PASSWORD": settings.password.get_secret_value(),
    }
    async with kafka.bus(topic) as bus:
        await bus.publish([message(topic, "one")])
        member = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _MEMBER, kafka.servers, topic, env=environment, stdout=asyncio.subprocess.PIPE
        )
        assert member.stdout is not None
        async with asyncio.timeout(60):
            told = []
            while b"one\n" not in told:
                told.append(await member.stdout.readline())
        member.kill()
        await member.wait()
        async with bus.subscribe(group="g", topic=topic) as subscription:
            assert values(await next_batch(subscription)) == ["one"]


async def test_a_rebalance_waits_for_the_batch_in_hand_and_nothing_is_done_twice(
    kafka: SessionBroker, topic: str
) -> None:
    patient = Membership(session_seconds=6.0, yield_seconds=20.0)
    seen: list[str] = []
    async with kafka.bus(topic, membership=patient) as bus:
        await bus.publish([message(topic, str(n), key=str(n)) for n in range(40)])
        async with bus.subscribe(group="g", topic=topic) as first, asyncio.TaskGroup() as tasks:
            in_hand = await next_batch(first)
            joined, done = asyncio.Event(), asyncio.Event()

            async def second() -> None:
                async with bus.subscribe(group="g", topic=topic) as subscription:
                    joined.set()
                    await drain(subscription, done)

            async def drain(subscription: Subscription, until: asyncio.Event) -> None:
                while not until.is_set():
                    batch = await subscription.next(0.2)
                    if batch is not None:
                        seen.extend(values(batch))
                        await subscription.commit(batch)
                        if len(seen) >= 40:
                            until.set()

            tasks.create_task(second())
            # It cannot join before the first one has let go; heartbeats tell that one of the rebalance.
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(3):
                    await joined.wait()
            seen.extend(values(in_hand))
            await first.commit(in_hand)
            async with asyncio.timeout(60):
                await drain(first, done)
                await done.wait()
    assert sorted(seen, key=int) == [str(n) for n in range(40)]


async def test_a_batch_whose_partition_moved_is_not_committed(kafka: SessionBroker, topic: str) -> None:
    async with kafka.bus(topic) as bus:
        await bus.publish([message(topic, str(n), key=str(n)) for n in range(40)])
        async with bus.subscribe(group="g", topic=topic) as slow:
            lost = await next_batch(slow)  # held for longer than the rebalance waits for it
            async with bus.subscribe(group="g", topic=topic) as other:
                await slow.commit(lost)
                assert await bus.lag("g", topic) == 40
                del other
        seen: list[str] = []
        async with bus.subscribe(group="g", topic=topic) as subscription:
            while len(seen) < 40:
                batch = await next_batch(subscription)
                seen += values(batch)
                await subscription.commit(batch)
    assert sorted(seen, key=int) == [str(n) for n in range(40)]


async def test_a_handler_slower_than_the_poll_interval_completes_nothing_twice(
    kafka: SessionBroker, topic: str
) -> None:
    hasty = Membership(session_seconds=6.0, poll_seconds=2.0, yield_seconds=1.0)
    completed: list[str] = []
    taken, handled_by_other, stopping = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def complete(records: Sequence[Record]) -> None:
        # As every handler does in its transaction: an event that was seen already changes nothing.
        for record in records:
            value = record.message.value.decode()
            if value not in completed:
                completed.append(value)

    async def slow(records: Sequence[Record]) -> None:
        taken.set()
        await handled_by_other.wait()  # its partition has moved by then
        complete(records)

    async def quick(records: Sequence[Record]) -> None:
        complete(records)
        handled_by_other.set()
        if "last" in completed:
            stopping.set()

    def consumer(bus: Bus, handler: Callable[[Sequence[Record]], Awaitable[None]]) -> Awaitable[None]:
        return consume(bus, group="g", topic=topic, handler=handler, stopping=stopping)

    async with asyncio.timeout(90), kafka.bus(topic, membership=hasty) as bus, asyncio.TaskGroup() as tasks:
        await bus.publish([message(topic, "first")])
        tasks.create_task(consumer(bus, slow))  # type: ignore[arg-type]  # a coroutine
        await taken.wait()
        tasks.create_task(consumer(bus, quick))  # type: ignore[arg-type]  # a coroutine
        await handled_by_other.wait()
        await bus.publish([message(topic, "last")])
        async with bus.subscribe(group="watch", topic=topic) as everybody:
            assert values(await next_batch(everybody))[0] == "first"
        while "last" not in completed:
            await asyncio.sleep(0.05)
        stopping.set()
    assert completed == ["first", "last"]


async def test_by_default_a_slow_handler_keeps_its_partitions(kafka: SessionBroker, topic: str) -> None:
    async with kafka.bus(topic, membership=MEMBERSHIP) as bus:
        await bus.publish([message(topic, "one")])
        async with bus.subscribe(group="g", topic=topic) as slow:
            in_hand = await next_batch(slow)
            # Longer than the session: heartbeats go on beside the handler.
            await asyncio.sleep(MEMBERSHIP.session_seconds + 2)
            await slow.commit(in_hand)
            assert await bus.lag("g", topic) == 0


async def make_topic(kafka: SessionBroker, topic: str, partitions: int, **configuration: str) -> None:
    admin = AIOKafkaAdminClient(**client_arguments(kafka.servers, kafka.settings))
    await admin.start()
    try:
        names = {name.replace("_", "."): value for name, value in configuration.items()}
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs=names)])
    finally:
        await admin.close()


async def test_a_topic_keeps_the_partitions_that_its_operator_gave_it(kafka: SessionBroker, topic: str) -> None:
    await make_topic(kafka, topic, 13)
    async with kafka.bus(topic) as bus:
        await bus.publish([message(topic, str(n), key=str(n)) for n in range(200)])
        kept = (await bus.browse(topic, limit=1000)).kept
    assert {each.record.partition for each in kept} == set(range(13))


async def test_a_topic_that_would_lose_messages_is_refused(kafka: SessionBroker, topic: str) -> None:
    await make_topic(kafka, topic, 8, cleanup_policy="compact")
    with pytest.raises(ServiceError) as caught:
        async with kafka.bus(topic):
            pass
    assert caught.value.reason == "TOPIC_MISCONFIGURED"
    assert topic in caught.value.message


async def test_a_topic_that_can_never_be_written_is_refused(kafka: SessionBroker, topic: str) -> None:
    await make_topic(kafka, topic, 8, min_insync_replicas="2")
    with pytest.raises(ServiceError) as caught:
        async with kafka.bus(topic):
            pass
    assert caught.value.reason == "TOPIC_MISCONFIGURED"


async def test_a_compacted_topic_is_made_as_one_and_known_again(kafka: SessionBroker, topic: str) -> None:
    arguments, wanted = client_arguments(kafka.servers, kafka.settings), [Topic(name=topic, compacted=True)]
    await ensure_topics(arguments, wanted, kafka.settings, keep_days=1)
    await ensure_topics(arguments, wanted, kafka.settings, keep_days=1)
    with pytest.raises(ServiceError) as caught:
        await ensure_topics(arguments, [Topic(name=topic)], kafka.settings, keep_days=1)
    assert caught.value.reason == "TOPIC_MISCONFIGURED"


async def test_more_replicas_than_brokers_are_refused_with_a_hint(kafka: SessionBroker, topic: str) -> None:
    settings = kafka.settings.model_copy(update={"replication_factor": 3})
    with pytest.raises(ServiceError) as caught:
        async with open_kafka_bus(kafka.servers, settings, keep_days=1, topics=[Topic(name=topic)]):
            pass
    assert caught.value.reason == "TOPIC_NOT_MADE"
    assert "DRYDOCK_KAFKA_REPLICATION_FACTOR" in caught.value.hint


@pytest.mark.parametrize("wrong", [{"password": SecretStr("guessed")}, {"security": "plaintext"}])
async def test_who_does_not_know_the_password_is_not_let_in(
    kafka: SessionBroker, topic: str, wrong: dict[str, object]
) -> None:
    settings = kafka.settings.model_copy(update={**wrong, "patience_seconds": 2.0})
    with pytest.raises(ServiceError) as caught:
        async with open_kafka_bus(kafka.servers, settings, keep_days=1, topics=[Topic(name=topic)]):
            pass
    assert caught.value.reason == "KAFKA_UNREACHABLE"
    assert "guessed" not in caught.value.sentence()


async def test_brokers_that_are_not_there_are_waited_for_only_so_long(unused_tcp_port: int) -> None:
    settings = KafkaSettings(patience_seconds=1.0)
    with pytest.raises(ServiceError) as caught:
        async with asyncio.timeout(10), open_kafka_bus(f"127.0.0.1:{unused_tcp_port}", settings, keep_days=1):
            pass
    assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "KAFKA_UNREACHABLE")
