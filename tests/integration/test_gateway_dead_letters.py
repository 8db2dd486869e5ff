"""Dead letters, from their burial to their replay, on each bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from drydock.events.v1 import image_event_pb2
from services.gateway.api import DeadLetter
from services.gateway.convert import to_letter, to_letter_content
from services.gateway.dead_letters import DeadLetters
from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_EVENTS, TOPICS, Bus, Message, Place, Record
from services.kernel.bus.letters import REPLAYED, bury
from services.kernel.errors import ServiceError, invalid
from services.kernel.ids import RandomIds
from tests.buses import SessionBroker, postgres_bus


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.slow)])
async def bus(request: pytest.FixtureRequest, database: str) -> AsyncIterator[Bus]:
    if request.param == "kafka":
        async with broker_of(request).bus(*TOPICS) as bus:
            yield bus
    else:
        async with postgres_bus(database) as bus:
            yield bus


def broker_of(request: pytest.FixtureRequest) -> SessionBroker:
    broker: SessionBroker = request.getfixturevalue("kafka")
    return broker


async def letters_of(letters: DeadLetters, key: bytes, topic: str = "") -> list[DeadLetter]:
    """Everything in the listing that has the test's own key: topics on Kafka are shared by the session."""
    found: list[DeadLetter] = []
    token = ""
    while True:
        page = await letters.list_letters(topic=topic, page_size=2, page_token=token)
        assert len(page.items) <= 2
        found += [letter for letter in page.items if letter.message.key == key]
        token = page.next_token
        if not token:
            return found


async def test_a_refused_event_is_found_shown_and_replayed_to_its_topic(bus: Bus) -> None:
    key, group = RandomIds().uuid().encode(), f"rules-{RandomIds().uuid()}"
    event = image_event_pb2.ImageEvent(event_id="e", instance_id="cri-1", tag="1.0").SerializeToString()
    mended, stopping = asyncio.Event(), asyncio.Event()
    handled: list[Message] = []

    async def handler(records: Sequence[Record]) -> None:
        mine = [record.message for record in records if record.message.key == key]
        if mine and not mended.is_set():
            buried.set()
            raise invalid("BAD_EVENT", "This event cannot be read.", hint="Mend it.")
        handled.extend(mine)
        if mine:
            stopping.set()

    buried = asyncio.Event()
    letters = DeadLetters(bus)
    sent = Message(topic=IMAGE_EVENTS, key=key, value=event, headers={"traceparent": "00-ab"})
    async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
        tasks.create_task(consume(bus, group=group, topic=IMAGE_EVENTS, handler=handler, stopping=stopping))
        await bus.publish([sent])
        await buried.wait()
        while not (found := await letters_of(letters, key)):
            await asyncio.sleep(0.05)
        mended.set()
        letter = await letters.get_letter(IMAGE_EVENTS, found[0].place)
        told, content = to_letter(letter), to_letter_content(letter)
        await letters.replay_letter(IMAGE_EVENTS, letter.place)

    assert (told.reason, told.error, told.group) == (
        "BAD_EVENT",
        "This event cannot be read. Mend it.",
        group,
    )
    assert (told.name.topic, told.size, told.key) == (IMAGE_EVENTS, len(event), key.decode())
    assert '"instance_id": "cri-1"' in content.json
    assert not content.value
    assert handled[0].value == event
    mark = f"{IMAGE_EVENTS}.dead:{letter.place.partition}:{letter.place.position}"
    assert handled[0].headers == {"traceparent": "00-ab", REPLAYED: mark}
    assert [each.place for each in await letters_of(letters, key)] == [letter.place]


async def test_letters_are_listed_page_by_page_over_all_topics_or_one(bus: Bus) -> None:
    key = RandomIds().uuid().encode()
    for topic in TOPICS:
        for n in range(3):
            message = Message(topic=topic, key=key, value=b"%d" % n)
            record = Record(message=message, partition=0, position="7")
            await bus.publish([bury(record, group="g", reason="R", error="e")])
    letters = DeadLetters(bus)
    everything = await letters_of(letters, key)
    assert [(letter.topic, letter.message.value) for letter in everything] == [
        (topic, b"%d" % n) for topic in TOPICS for n in range(3)
    ]
    assert {letter.topic for letter in await letters_of(letters, key, SCAN_EVENTS)} == {SCAN_EVENTS}


@pytest.mark.parametrize("value", [b"\xff\xff\x00", b"\x0a\x02\xff\xff", b"\xfa\x3f\x01x"])
async def test_a_value_that_is_no_event_is_shown_as_bytes(database: str, value: bytes) -> None:
    async with postgres_bus(database) as bus:
        message = Message(topic=IMAGE_EVENTS, key=b"\xff\x1b[2J", value=value * 5000)
        record = Record(message=message, partition=0, position="7")
        await bus.publish([bury(record, group="g", reason="R", error="e" * 5000)])
        (letter,) = (await DeadLetters(bus).list_letters()).items
    content = to_letter_content(letter)
    assert content.json == ""
    assert content.value == (value * 5000)[:4096]
    assert len(content.letter.error) == 1000
    assert content.letter.key.startswith("\\xff")


@pytest.mark.parametrize(
    ("topic", "place", "reason"),
    [
        ("no.such.topic", Place(partition=0, position="1/1"), "TOPIC_NOT_EXIST"),
        (IMAGE_EVENTS, Place(partition=0, position="1/1"), "DEAD_LETTER_NOT_EXIST"),
        (IMAGE_EVENTS, Place(partition=0, position="nowhere"), "INVALID_PLACE"),
    ],
)
async def test_a_letter_that_is_not_there_is_refused(database: str, topic: str, place: Place, reason: str) -> None:
    async with postgres_bus(database) as bus:
        letters = DeadLetters(bus)
        for call in (letters.get_letter, letters.replay_letter):
            with pytest.raises(ServiceError) as caught:
                await call(topic, place)
            assert caught.value.reason == reason
