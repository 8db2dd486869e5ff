"""A server that ends is started again; the small ones here are shells."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AbstractAsyncContextManager

import pytest

import services.kernel.embedded.keeper as module
from services.kernel.embedded.keeper import Server, kept_running
from services.kernel.errors import Kind, ServiceError

pytestmark = pytest.mark.slow


class Nursery:
    """Starts servers that sleep, and knows them all."""

    def __init__(self, *failing: int, not_starting: int = 0) -> None:
        self.started: list[Server] = []
        self.ready: asyncio.Queue[Server] = asyncio.Queue()
        self._failing = failing
        self._not_starting = not_starting
        self.starts = 0

    def start(self) -> Server:
        self.starts += 1
        if self.starts == self._not_starting:
            raise OSError(12, "Cannot allocate memory")
        self.started.append(subprocess.Popen(["sleep", "600"]))
        return self.started[-1]

    async def await_ready(self, server: Server) -> None:
        if len(self.started) in self._failing:
            raise ServiceError(Kind.INTERNAL, "DID_NOT_START", "It did not start.")
        await self.ready.put(server)

    def kept(self) -> AbstractAsyncContextManager[Server]:
        return kept_running("sleeper", start=self.start, await_ready=self.await_ready, stop=end)


def end(server: Server) -> None:
    server.kill()
    server.wait()


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_LOOK_SECONDS", "_FIRST_PAUSE_SECONDS"):
        monkeypatch.setattr(module, name, 0.01)


async def the_next(nursery: Nursery) -> Server:
    async with asyncio.timeout(10):
        return await nursery.ready.get()


async def test_a_server_that_was_killed_is_started_again_and_stopped_at_exit() -> None:
    nursery = Nursery()
    async with nursery.kept() as first:
        assert await the_next(nursery) is first
        first.kill()
        second = await the_next(nursery)
        assert second.poll() is None
    assert [server.poll() is None for server in nursery.started] == [False, False]


async def test_one_that_does_not_come_back_is_tried_again_and_none_is_left_behind() -> None:
    nursery = Nursery(2, 3)
    async with nursery.kept() as first:
        await the_next(nursery)
        first.kill()
        fourth = await the_next(nursery)
        assert nursery.started.index(fourth) == 3
        assert [server.poll() is None for server in nursery.started] == [False, False, False, True]
    assert fourth.poll() is not None


async def test_one_that_cannot_even_be_started_is_tried_again() -> None:
    nursery = Nursery(not_starting=2)
    async with nursery.kept() as first:
        await the_next(nursery)
        first.kill()
        third = await the_next(nursery)
        assert (nursery.starts, nursery.started) == (3, [first, third])
    assert third.poll() is not None


async def test_the_first_failure_is_the_callers_and_the_server_is_stopped() -> None:
    nursery = Nursery(1)
    with pytest.raises(ServiceError, match="did not start"):
        async with nursery.kept():
            pass
    assert nursery.started[0].poll() is not None


async def test_what_ends_the_block_comes_out_as_it_is() -> None:
    nursery = Nursery()
    with pytest.raises(ZeroDivisionError):
        async with nursery.kept():
            raise ZeroDivisionError
    assert nursery.started[0].poll() is not None
