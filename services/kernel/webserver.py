"""An HTTP server inside the process: it starts whole, leaves signals alone, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import structlog
import uvicorn
from starlette.types import ASGIApp

from services.kernel import open_files
from services.kernel.connection import Connection, Crowd
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_BACKLOG = 512
_MOST_CONNECTIONS = 10_000
_MAX_HEAD_BYTES = 16 * 1024
_IDLE_SECONDS = 30
_HANDSHAKE_SECONDS = 10.0
"""Of a connection that speaks TLS. The event loop's own is a minute."""


@asynccontextmanager
async def serve_http(
    app: ASGIApp,
    address: str,
    *,
    grace_seconds: float = 10.0,
    max_head_bytes: int = _MAX_HEAD_BYTES,
    most_connections: int = 0,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[str]:
    """Listens on `HOST:PORT` (port 0: any free one), serves until exit and yields the bound `HOST:PORT`.

    With `tls` it speaks HTTPS only. A request line and its headers may have `max_head_bytes` together, and take 30
    seconds to arrive. Of connections there are `most_connections` at once, 10,000 where the process may have twice
    as many files open: one more takes the place of one that asks for nothing; where all ask, it is told 503. At
    exit it stops listening, answers what is under way for at most `grace_seconds`, and cancels the rest.

    Raises:
        ServiceError: ADDRESS_NOT_AVAILABLE when it cannot listen there.
    """
    listener = _listen(address)
    host, port = listener.getsockname()[:2]
    bound = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    crowd = Crowd(most_connections=most_connections or _room(), max_head_bytes=max_head_bytes)
    server = _Server(
        uvicorn.Config(
            app,
            http=Connection,
            ssl_context_factory=(lambda *_: tls) if tls is not None else None,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=_IDLE_SECONDS,
            timeout_graceful_shutdown=max(1, round(grace_seconds)),
        ),
        crowd,
    )
    # No TaskGroup: it would wrap what the caller's own block raises. The task ends with this function.
    running = asyncio.create_task(server.serve(sockets=[listener]), name=f"http {bound}")
    try:
        await server.started_or_failed.wait()
        if running.done():
            await running
        log.info("http.listening", address=bound)
        yield bound
    finally:
        server.should_exit = True
        await running
        log.info("http.stopped", address=bound)


def _room() -> int:
    """Half of the files that the process may have open: databases, peers and the other doors want some."""
    return min(_MOST_CONNECTIONS, open_files.limit() // 2)


class _Server(uvicorn.Server):
    """uvicorn without hands on our signals, and with an event for "listening now"."""

    def __init__(self, config: uvicorn.Config, crowd: Crowd) -> None:
        super().__init__(config)
        self._crowd = crowd
        self.started_or_failed = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves signals to `services.kernel.run`."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts listening as uvicorn does it, but with a deadline for handshakes, then says so."""
        loop, config = asyncio.get_running_loop(), self.config
        try:
            self.servers = [
                await loop.create_server(
                    lambda: Connection(config, self.server_state, self._crowd),
                    sock=listener,
                    ssl=config.ssl,
                    ssl_handshake_timeout=_HANDSHAKE_SECONDS if config.ssl is not None else None,
                    backlog=_BACKLOG,
                )
                for listener in sockets or ()
            ]
            self.started = True
        finally:
            self.started_or_failed.set()


def _listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setblocking(False)
            listener.bind((host, int(port)))
            listener.listen(_BACKLOG)
        except BaseException:
            listener.close()
            raise
    except (OSError, OverflowError, ValueError) as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "ADDRESS_NOT_AVAILABLE",
            f"Cannot listen on {address}.",
            hint="Another program may hold the port: name a free one.",
        ) from error
    return listener
