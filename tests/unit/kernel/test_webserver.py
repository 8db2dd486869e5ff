"""Who holds connections of the HTTP server, and who is let go."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.kernel import connection, webserver
from services.kernel.webserver import serve_http
from tests.builders.certificates import Authority

MOST = 5
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Streams]]
HALF_A_BODY = b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"
HEAD = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"


@asynccontextmanager
async def serving(
    endpoint: Callable[[Request], Awaitable[Response]], *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Connect]:
    """A server for a few connections, and how one connects to it."""
    app = Starlette(routes=[Route("/", endpoint, methods=["GET"])])
    async with AsyncExitStack() as stack, serve_http(app, "127.0.0.1:0", max_connections=MOST, tls=tls) as address:
        host, port = address.split(":")

        async def connect() -> Streams:
            reader, writer = await asyncio.open_connection(host, int(port))
            stack.callback(writer.close)
            return reader, writer

        yield connect


async def at_once(request: Request) -> Response:
    """Answers."""
    del request
    return PlainTextResponse("here")


async def ask(streams: Streams) -> bytes:
    """Asks on a connection that may be kept, and returns the status line."""
    reader, writer = streams
    writer.write(HEAD)
    status = await asyncio.wait_for(reader.readline(), 5)
    await asyncio.wait_for(reader.readuntil(b"here"), 5)
    return status


async def is_closed(streams: Streams) -> bool:
    """Waits until the server has closed a connection."""
    try:
        return await asyncio.wait_for(streams[0].read(), 5) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("kept_back", [b"", b"GET / HTTP/1.1\r\nhost:"], ids=["silent", "half a head"])
async def test_whoever_keeps_the_head_back_is_cut_off(monkeypatch: pytest.MonkeyPatch, kept_back: bytes) -> None:
    monkeypatch.setattr(connection, "_HEAD_SECONDS", 0.1)
    async with serving(at_once) as connect:
        streams = await connect()
        streams[1].write(kept_back)

        assert await is_closed(streams)


async def test_the_next_head_on_a_kept_connection_has_its_deadline_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEAD_SECONDS", 0.1)
    async with serving(at_once) as connect:
        streams = await connect()
        assert b"200" in await ask(streams)
        streams[1].write(HEAD[:-2])

        assert await is_closed(streams)


async def test_a_handshake_has_a_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(webserver, "HANDSHAKE_SECONDS", 0.1)
    files = Authority().write(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(files["tls_cert_file"], files["tls_key_file"])

    async with serving(at_once, tls=tls) as connect:
        assert await is_closed(await connect())


async def test_an_answer_may_take_longer_than_a_head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "_HEAD_SECONDS", 0.01)

    async def slowly(request: Request) -> Response:
        del request
        loop = asyncio.get_running_loop()
        over = loop.create_future()
        loop.call_later(0.1, over.set_result, None)
        await over
        return PlainTextResponse("here")

    async with serving(slowly) as connect:
        assert b"200" in await ask(await connect())


async def read_all(request: Request) -> Response:
    """Answers whoever has sent a whole body."""
    await request.body()
    return PlainTextResponse("here")


@pytest.mark.parametrize("kept_back", [b"", HALF_A_BODY], ids=["silent", "half a body"])
async def test_whoever_keeps_us_waiting_shuts_nobody_out(kept_back: bytes) -> None:
    async with serving(read_all) as connect:
        waiting = [await connect() for _ in range(2 * MOST)]
        for _, writer in waiting:
            writer.write(kept_back)
            await writer.drain()
        waiting += [await connect() for _ in range(2 * MOST)]

        assert b"200" in await ask(await connect())
        assert await is_closed(waiting[0])


async def test_who_is_being_answered_is_not_closed_for_others() -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def when_told(request: Request) -> Response:
        del request
        begun.set()
        await asyncio.wait_for(go_on.wait(), 5)
        return PlainTextResponse("here")

    async with serving(when_told) as connect:
        asking = asyncio.create_task(ask(await connect()))
        await asyncio.wait_for(begun.wait(), 5)
        for _ in range(10 * MOST):
            await connect()
        go_on.set()

        assert b"200" in await asking


async def test_where_all_are_being_answered_the_newest_is_told_to_come_again() -> None:
    go_on, busy = asyncio.Event(), 0
    full = asyncio.Event()

    async def when_told(request: Request) -> Response:
        nonlocal busy
        del request
        busy += 1
        if busy == MOST - 1:
            full.set()
        await asyncio.wait_for(go_on.wait(), 5)
        return PlainTextResponse("here")

    async with serving(when_told) as connect:
        asking = [asyncio.create_task(ask(await connect())) for _ in range(MOST - 1)]
        await asyncio.wait_for(full.wait(), 5)
        reader, writer = await connect()
        writer.write(HEAD)

        assert b"503" in await asyncio.wait_for(reader.readline(), 5)
        go_on.set()
        assert all(b"200" in status for status in await asyncio.gather(*asking))
