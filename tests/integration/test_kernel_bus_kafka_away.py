"""A consumer or publisher whose brokers go away in the middle of its work goes on by itself when they are back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import Message, Record
from services.kernel.errors import ServiceError
from tests.buses import SessionBroker

pytestmark = pytest.mark.slow


async def test_a_batch_whose_commit_finds_a_frozen_broker_comes_again_later(
    kafka: SessionBroker, topic: str
) -> None:
    handled, away, stopping = 0, asyncio.Event(), asyncio.Event()

    async def work(records: Sequence[Record]) -> None:
        nonlocal handled
        handled += 1
        if handled == 1:
            kafka.freeze()
            away.set()
        else:
            stopping.set()

    async with kafka.bus(topic) as bus, asyncio.timeout(110):
        await bus.publish([Message(topic=topic, key=b"k", value=b"v")])
        async with asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(
                consume(bus, group="g", topic=topic, handler=work, stopping=stopping), name="consumer"
            )
            await away.wait()
            try:
                # As long as it takes to give the commit up, and to leave.
                await asyncio.wait({consuming}, timeout=25)
                assert not consuming.done(), "it ended while its broker was away"
            finally:
                kafka.thaw()
    assert handled > 1


async def test_what_is_published_while_the_broker_is_away_is_refused_and_later_taken(
    kafka: SessionBroker, topic: str
) -> None:
    message = Message(topic=topic, key=b"k", value=b"v")
    async with kafka.bus(topic, publish_seconds=2.0) as bus, asyncio.timeout(90):
        await bus.publish([message])
        kafka.kill()
        try:
            for _ in range(6):  # the first is under way in the client, the others find none
                with pytest.raises(ServiceError, match="does not answer"):
                    await bus.publish([message])
        finally:
            await kafka.ready()
        await bus.publish([message])
