"""Every service and the story, in one process that ends with the story."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from services import standalone
from services.cli.demo.narrator import Narrator
from services.cli.demo.stage import Stage, set_stage
from services.kernel.run import Process
from services.settings import read_settings
from services.standalone import Running

Story = Callable[[Stage, Narrator, Path], Awaitable[None]]
"""Plays on the stage; the path is the demo's data directory."""


class Play:
    """The services with the story as one more task among theirs; its end stops them."""

    def __init__(self, data: Path, narrator: Narrator, tell: Story) -> None:
        self.stopping = asyncio.Event()
        self.ended = False
        self._data = data
        self._narrator = narrator
        self._tell = tell

    @asynccontextmanager
    async def compose(self, process: Process) -> AsyncIterator[None]:
        """Starts everything on ports that are free."""
        kernel, doors = read_settings(
            self._data,
            grpc=_free("127.0.0.1:7070"),
            http=_free("127.0.0.1:7080"),
            monitoring=_free("127.0.0.1:7095"),
            database_url="",
        )
        async with standalone.compose(process, kernel, doors) as running:
            self._narrator.tell(f"all are up: gRPC {running.grpc}, HTTP {running.http}")
            process.start("demo", self._perform(running))
            yield

    async def _perform(self, running: Running) -> None:
        try:
            async with set_stage(running) as stage:
                await self._tell(stage, self._narrator, self._data)
            self.ended = True
        finally:
            self.stopping.set()


def _free(address: str) -> str:
    """Returns the usual address where it is free, else one with any port."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_server((host, int(port))):
            return address
    except OSError:
        return f"{host}:0"
