"""The HTTP server itself: heads, idle connections and their number are bounded, and who is sent away is told."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.kernel import webserver
from services.kernel.webserver import serve_http
from tests.builders.certificates import Authority

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], AbstractAsyncContextManager[Streams]]
MOST = 5
HEAD = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF_A_BODY = b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path and how long the body was."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


class Slow:
    """Answers nobody until it may."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self._asked = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._asked.release()
        await self.go_on.wait()
        await length(scope, receive, send)

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(20):
            for _ in range(times):
                await self._asked.acquire()


@asynccontextmanager
async def listening(app: ASGIApp = length, **options: Any) -> AsyncIterator[Connect]:
    async with serve_http(app, "127.0.0.1:0", **options) as address:

        @asynccontextmanager
        async def connect() -> AsyncIterator[Streams]:
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


async def ask(streams: Streams) -> bytes:
    """Asks on a connection that is kept, and returns the status line."""
    reader, writer = streams
    writer.write(HEAD)
    status = await reader.readline()
    await reader.readuntil(b"/ 0")
    return status


async def is_closed(streams: Streams) -> bool:
    """Waits until the server has closed a connection."""
    try:
        return await streams[0].read() == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("kept_back", [b"", HALF_A_BODY], ids=["silent", "half a body"])
async def test_whoever_keeps_us_waiting_shuts_nobody_out(kept_back: bytes) -> None:
    async with AsyncExitStack() as stack:
        connect = await stack.enter_async_context(listening(most_connections=MOST))
        waiting = [await stack.enter_async_context(connect()) for _ in range(2 * MOST)]
        for _, writer in waiting:
            writer.write(kept_back)
        waiting += [await stack.enter_async_context(connect()) for _ in range(2 * MOST)]

        assert b"200" in await ask(await stack.enter_async_context(connect()))
        assert await is_closed(waiting[0])


async def test_where_all_are_being_answered_the_newest_is_told_to_come_again() -> None:
    slow = Slow()
    async with AsyncExitStack() as stack:
        connect = await stack.enter_async_context(listening(slow, most_connections=MOST))
        asking = [asyncio.create_task(ask(await stack.enter_async_context(connect()))) for _ in range(MOST)]
        await slow.until_asked(MOST)
        for _ in range(3 * MOST):
            async with connect() as (reader, _):
                answer = await reader.read()
            assert answer.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nretry-after: 2\r\n" in answer
            assert b'"code":"TOO_MANY_CONNECTIONS"' in answer
        slow.go_on.set()
        assert all(b"200" in status for status in await asyncio.gather(*asking))


async def test_a_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(webserver, "_HANDSHAKE_SECONDS", 0.1)
    files = Authority().write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files["tls_cert_file"], files["tls_key_file"])

    async with listening(tls=tls) as connect, connect() as streams:
        assert await is_closed(streams)


async def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webserver, "_IDLE_SECONDS", 0.01)
    slow = Slow()
    async with listening(slow) as connect, connect() as streams:
        asking = asyncio.create_task(ask(streams))
        await slow.until_asked(1)
        asyncio.get_running_loop().call_later(0.1, slow.go_on.set)

        assert b"200" in await asking


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
