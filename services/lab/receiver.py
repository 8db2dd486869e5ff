"""A receiver of notifications on loopback: keeps what it gets, for the demo and for tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping

from aiohttp import web

_MAX_BYTES = 1024 * 1024
_GRACE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A request as it arrived."""

    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    monotonic: float
    """When it was complete, by `time.monotonic`."""


class Receiver:
    """A running receiver, as its owner sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        """Where it takes POSTs."""
        self.received: list[Received] = []
        """In the order of arrival."""
        self._arrived = asyncio.Condition()

    async def wait_for(self, wanted: Callable[[Received], bool], timeout_seconds: float) -> Received:
        """Returns the first request, past or coming, that is wanted.

        Raises:
            TimeoutError: none came in time.
        """
        async with asyncio.timeout(timeout_seconds), self._arrived:
            await self._arrived.wait_for(lambda: any(map(wanted, self.received)))
            return next(filter(wanted, self.received))

    async def take(self, request: web.Request) -> web.Response:
        """Answers 204 and remembers."""
        body = await request.read()
        headers = {name.lower(): value for name, value in request.headers.items()}
        async with self._arrived:
            self.received.append(Received(headers=headers, body=body, monotonic=time.monotonic()))
            self._arrived.notify_all()
        return web.Response(status=204)


@contextlib.asynccontextmanager
async def serve_receiver(*, port: int = 0, path: str = "/notifications") -> AsyncIterator[Receiver]:
    """Runs a receiver in this event loop for the time of the block, on 127.0.0.1 only; port 0 takes a free one."""
    listener = socket.create_server(("127.0.0.1", port))
    receiver = Receiver(f"http://127.0.0.1:{listener.getsockname()[1]}{path}")
    app = web.Application(client_max_size=_MAX_BYTES)
    app.router.add_post(path, receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_GRACE_SECONDS)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        yield receiver
    finally:
        await runner.cleanup()
        listener.close()
