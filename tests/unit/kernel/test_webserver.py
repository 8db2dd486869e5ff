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

MOST = 5

Connect = Callable[[], AbstractAsyncContextManager[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


async def length(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the path and how long the body was."""
    body = await Request(scope, receive).body()
    await PlainTextResponse(f"{scope['path']} {len(body)}")(scope, receive, send)


@asynccontextmanager
async def listening(app: ASGIApp = length, **bounds: Any) -> AsyncIterator[Connect]:
    async with serve_http(app, "127.0.0.1:0", **bounds) as address:

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


async def test_where_all_are_being_answered_who_comes_is_told_to_come_again() -> None:
    full, go_on, busy = asyncio.Event(), asyncio.Event(), 0

    async def when_told(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal busy
        busy += 1
        if busy == MOST:
            full.set()
        await asyncio.wait_for(go_on.wait(), 20)
        await length(scope, receive, send)

    async with listening(when_told, most_connections=MOST) as connect, AsyncExitStack() as stack:
        asking = [await stack.enter_async_context(connect()) for _ in range(MOST)]
        for _, writer in asking:
            writer.write(b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(full.wait(), 20)
        async with connect() as another:
            answer = await another[0].read()
        go_on.set()

        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nretry-after: 2\r\n" in answer
        assert b'"code":"TOO_MANY_CONNECTIONS"' in answer
        assert [(await reader.readline())[:12] for reader, _ in asking] == [b"HTTP/1.1 200"] * MOST


@pytest.mark.parametrize(
    "kept_back",
    [
        b"",
        b"GET / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 10\r\n\r\nhalf",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=["silent", "half a head", "half a body", "answered"],
)
async def test_whoever_keeps_us_waiting_makes_room_for_whoever_comes(kept_back: bytes) -> None:
    async with listening(most_connections=MOST) as connect, AsyncExitStack() as stack:
        waiting = [await stack.enter_async_context(connect()) for _ in range(3 * MOST)]
        for _, writer in waiting[-MOST:]:
            writer.write(kept_back)
            await writer.drain()
            if kept_back.endswith(b"\r\n\r\n"):
                await waiting[-MOST][0].read(1)
        async with connect() as another:
            said = await exchange(*another, b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

        assert said.endswith(b"/b 0")
        with contextlib.suppress(ConnectionResetError):
            assert await waiting[0][0].read() == b""


async def test_a_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(webserver, "_HANDSHAKE_SECONDS", 0.1)
    files = Authority().write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files["tls_cert_file"], files["tls_key_file"])

    async with listening(tls=tls) as connect, connect() as (reader, _):
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


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
