"""Connections to the gRPC door that ask for nothing leave room for others, and for the process."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack

import grpc
import pytest

from services.kernel import open_files
from services.kernel.rpc import server
from services.kernel.rpc.server import serve

MOST = 20


async def silent(stack: AsyncExitStack, address: str) -> asyncio.StreamReader:
    """Connects and says nothing."""
    host, port = address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    return reader


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Waits until the server closes a connection; what it said before is nothing to us."""
    try:
        await asyncio.wait_for(reader.read(-1), 5)
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    return True


async def test_silent_connections_take_no_more_than_half_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: 2 * MOST)
    async with AsyncExitStack() as stack, serve("127.0.0.1:0", (), interceptors=(), grace_seconds=0.1) as running:
        readers = [await silent(stack, running.address) for _ in range(3 * MOST)]

        assert await is_closed(readers[-1])


async def test_whoever_says_nothing_makes_room_for_a_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_files, "limit", lambda: 2 * MOST)
    monkeypatch.setattr(server, "_HANDSHAKE_SECONDS", 0.3)
    async with AsyncExitStack() as stack, serve("127.0.0.1:0", (), interceptors=(), grace_seconds=0.1) as running:
        readers = [await silent(stack, running.address) for _ in range(MOST)]

        assert all(await asyncio.gather(*map(is_closed, readers)))
        async with grpc.aio.insecure_channel(running.address) as channel:
            await asyncio.wait_for(channel.channel_ready(), 5)


def test_the_limit_of_the_shell_is_raised_as_far_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: said.append(both))
    for shell, raised in [
        ((1024, 4096), [(4096, 4096)]),
        ((1024, -1), [(65_536, -1)]),
        ((1024, 1_048_576), [(65_536, 1_048_576)]),
        ((200_000, 1_048_576), []),
        ((-1, -1), []),
    ]:
        said.clear()
        monkeypatch.setattr(resource, "getrlimit", lambda _, shell=shell: shell)
        open_files.raise_limit()
        assert said == raised
