"""The receiver keeps what it is sent."""

from __future__ import annotations

import aiohttp
import pytest

from services.lab.receiver import serve_receiver


async def test_what_is_posted_is_kept_in_order() -> None:
    async with serve_receiver() as receiver, aiohttp.ClientSession() as session:
        for body in (b"one", b"two"):
            async with session.post(receiver.url, data=body, headers={"X-Number": body.decode()}) as answer:
                assert answer.status == 204
        assert [received.body for received in receiver.received] == [b"one", b"two"]
        assert receiver.received[1].headers["x-number"] == "two"


async def test_waiting_finds_what_came_before() -> None:
    async with serve_receiver() as receiver, aiohttp.ClientSession() as session:
        async with session.post(receiver.url, data=b"early"):
            pass
        found = await receiver.wait_for(lambda received: received.body == b"early", 5)
        assert found.body == b"early"


async def test_waiting_for_what_never_comes_ends() -> None:
    async with serve_receiver() as receiver:
        with pytest.raises(TimeoutError):
            await receiver.wait_for(lambda received: True, 0.01)
