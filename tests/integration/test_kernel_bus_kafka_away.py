"""A publisher whose broker goes away in the middle of its work goes on by itself when it is back."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from services.kernel.bus.interface import Message
from services.kernel.errors import ServiceError
from tests.buses import SessionBroker

pytestmark = pytest.mark.slow


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
        while True:  # the broker answers before the client has heard of it
            with contextlib.suppress(ServiceError):
                await bus.publish([message])
                break
