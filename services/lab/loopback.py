"""An HTTP server inside the running event loop, on 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator

import uvicorn
from starlette.types import ASGIApp

from services.lab.beside import beside


class LoopbackServer(uvicorn.Server):
    """A uvicorn server that leaves signals to its owner and says when it listens."""

    def __init__(self, app: ASGIApp, *, server_header: str = "drydock-lab") -> None:
        super().__init__(
            uvicorn.Config(
                app,
                lifespan="off",
                ws="none",
                log_config=None,
                access_log=False,
                server_header=False,
                headers=[("Server", server_header)],
                timeout_graceful_shutdown=1,
            )
        )
        self.ready = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many clients are connected at present."""
        return len(self.server_state.connections)

    def hang_up(self, client: object) -> None:
        """Closes a client's connection without another word; nothing happens when it is gone already."""
        for connection in self.server_state.connections:
            if getattr(connection, "client", None) == client and connection.transport is not None:
                connection.transport.abort()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens."""
        await super().startup(sockets)
        self.ready.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Captures none: the process that this server is a guest of has its own way to end."""
        yield

    def stop(self) -> None:
        """Asks the server to end; open answers get a second."""
        self.should_exit = True


@contextlib.asynccontextmanager
async def serving(server: LoopbackServer, listener: socket.socket) -> AsyncIterator[None]:
    """Serves for the time of the block; the socket is closed with it."""
    async with beside(server.serve(sockets=[listener]), name="loopback-server", stop=server.stop):
        await server.ready.wait()
        yield


def listen(port: int = 0) -> tuple[socket.socket, str]:
    """Opens a socket on 127.0.0.1, on a free port for 0; returns it with its `HOST:PORT`."""
    listener = socket.create_server(("127.0.0.1", port))
    return listener, f"127.0.0.1:{listener.getsockname()[1]}"
