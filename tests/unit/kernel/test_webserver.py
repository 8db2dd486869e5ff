"""The HTTP server itself: heads, idle connections and their number are bounded, and who is sent away is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from services.kernel import webserver
from services.kernel.webserver import serve_http

Connect = Callable[[], AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path and how long the body was."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


@asynccontextmanager
async def listening(**bounds: int) -> AsyncIterator[Connect]:
    async with serve_http(length, "127.0.0.1:0", **bounds) as address:  # type: ignore[arg-type]  # bounds of it

        @asynccontextmanager
        async def connect() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
            host, port = address.split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            try:
                async with asyncio.timeout(20):
                    yield reader, writer
            finally:
                writer.close()

        yield connect


async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *parts: bytes) -> bytes:
    """Sends parts, each by itself, and returns what is answered up to the end of the connection.

    Of one that the server closed while there was more to come, the answer may be lost.
    """
    answer = b""
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        answer = await reader.read()
    return answer


async def test_who_comes_to_a_full_server_is_told_to_come_again() -> None:
    async with listening(most_connections=2) as connect, connect() as first, connect() as second:
        for reader, writer in (first, second):
            writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
        async with connect() as third:
            answer = await third[0].read()
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 2\r\n" in answer
        assert b'"code":"TOO_MANY_CONNECTIONS"' in answer
        first[1].close()
        await first[1].wait_closed()
        async with asyncio.timeout(10):
            while True:
                async with connect() as again:
                    said = await exchange(*again, b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    if said.endswith(b"/b 0"):
                        break


@pytest.mark.parametrize("step", [100_000, 100])
@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"x" * 3000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: " + b"x" * 3000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-A: y\r\n" * 400 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X" * 3000,
    ],
)
async def test_a_head_that_is_too_long_is_refused_however_it_arrives(head: bytes, step: int) -> None:
    async with listening(max_head_bytes=2000) as connect, connect() as (reader, writer):
        parts = [head[at : at + step] for at in range(0, len(head), step)]
        answer = await exchange(reader, writer, *parts)
    assert answer.startswith(b"HTTP/1.1 400 ") or (not answer and len(parts) > 1)


async def test_a_long_body_after_a_short_head_is_no_long_head() -> None:
    head = b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\nConnection: close\r\n\r\n"
    async with listening(max_head_bytes=2000) as connect, connect() as (reader, writer):
        answer = await exchange(reader, writer, head, *[b"x" * 500] * 100)
    assert answer.endswith(b"/a 50000")


async def test_requests_that_come_at_once_are_answered_in_their_order() -> None:
    requests = [b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n" % number for number in range(5)]
    last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with listening() as connect, connect() as (reader, writer):
        answer = await exchange(reader, writer, b"".join([*requests, last]))
    places = [answer.index(b"/%d 0" % number) for number in range(5)]
    assert places == sorted(places)
    assert answer.endswith(b"/last 0")


async def test_who_wants_another_protocol_is_answered_in_this_one() -> None:
    head = b"GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
    async with listening() as connect, connect() as (reader, writer):
        writer.write(head)
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("begun", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"])
async def test_a_connection_that_brings_no_head_is_closed(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "_IDLE_SECONDS", 1)
    async with listening() as connect, connect() as (reader, writer):
        writer.write(begun)
        if begun.endswith(b"\r\n\r\n"):
            await reader.readuntil(b"/ 0")
        assert await reader.read() == b""
