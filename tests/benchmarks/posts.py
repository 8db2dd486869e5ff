"""POSTs by the thousand, written and read as bytes: a client library would take longer than what it measures."""

from __future__ import annotations

import asyncio
import dataclasses
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import urlsplit

from services.lab.events import Endpoint

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """How the requests went."""

    seconds: float
    statuses: Mapping[int, int]
    milliseconds: tuple[float, ...]
    """Of every request, from its first byte to the last one of its answer."""


async def post_all(endpoint: Endpoint, bodies: Sequence[bytes], *, senders: int, keep_alive: bool) -> Posted:
    """Sends every body once; each of so many senders waits for an answer before it sends the next.

    Args:
        endpoint: where to, and with which headers.
        bodies: of the requests.
        senders: how many requests are under way at any time.
        keep_alive: otherwise each request has a connection of its own, as distribution does it.
    """
    url = urlsplit(endpoint.url)
    assert url.hostname is not None
    requests = iter([_request(endpoint, body, keep_alive=keep_alive) for body in bodies])
    statuses: Counter[int] = Counter()
    milliseconds: list[float] = []
    begun = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(senders):
            group.create_task(_send(url.hostname, url.port or 80, requests, statuses, milliseconds))
    seconds = time.perf_counter() - begun
    assert sum(statuses.values()) == len(bodies)
    return Posted(seconds=seconds, statuses=statuses, milliseconds=tuple(milliseconds))


def _request(endpoint: Endpoint, body: bytes, *, keep_alive: bool) -> bytes:
    url = urlsplit(endpoint.url)
    headers = {"host": url.netloc, "content-length": str(len(body)), "user-agent": "Go-http-client/1.1"}
    headers |= endpoint.headers
    if not keep_alive:
        headers["connection"] = "close"
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {url.path} HTTP/1.1\r\n{head}\r\n".encode() + body


async def _send(
    host: str, port: int, requests: Iterator[bytes], statuses: Counter[int], milliseconds: list[float]
) -> None:
    loop = asyncio.get_running_loop()
    connection: _Connection | None = None
    for request in requests:
        begun = time.perf_counter()
        if connection is None or connection.closed:
            _, connection = await loop.create_connection(_Connection, host, port)
        statuses[await connection.exchange(request)] += 1
        milliseconds.append((time.perf_counter() - begun) * 1000)
    if connection is not None:
        connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[int] | None = None
        self._read = b""
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by its class

    def exchange(self, request: bytes) -> asyncio.Future[int]:
        assert self._transport is not None
        self._answer, self._read = asyncio.get_running_loop().create_future(), b""
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._read += data
        head, end, rest = self._read.partition(b"\r\n\r\n")
        if not end or self._answer is None or self._answer.done():
            return
        length = _LENGTH.search(head + b"\r\n")
        assert length is not None, head
        if len(rest) >= int(length[1]):
            if b"\r\nconnection: close" in head.lower():
                self.closed = True
                self.close()
            self._answer.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("closed before the answer"))
