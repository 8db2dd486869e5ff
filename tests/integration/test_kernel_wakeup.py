"""Wake-ups come through, also after the server went without a word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg

from services.kernel.wakeup import Wakeups

_SOCKET = ".s.PGSQL.5432"


class Wire:
    """A relay before the database that can fall silent: it then swallows what is sent, and closes nothing."""

    def __init__(self, target: Path) -> None:
        self._target = target
        self._silent: set[int] = set()
        self._count = 0
        self._relays: list[asyncio.Task[None]] = []

    def fall_silent(self) -> None:
        """Silences the connections there are; those that are opened afterwards talk."""
        self._silent.update(range(self._count))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number, self._count = self._count, self._count + 1
        there, here = await asyncio.open_unix_connection(self._target)
        relays = [
            asyncio.create_task(self._relay(number, reader, here)),
            asyncio.create_task(self._relay(number, there, writer)),
        ]
        self._relays += relays

    async def close(self) -> None:
        """Cuts every connection."""
        for relay in self._relays:
            relay.cancel()
        await asyncio.gather(*self._relays, return_exceptions=True)

    async def _relay(self, number: int, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                if number not in self._silent:
                    sink.write(data)
        finally:
            sink.close()
            await sink.wait_closed()


@asynccontextmanager
async def wire_to(database: str, folder: Path) -> AsyncIterator[tuple[Wire, str]]:
    place = urlsplit(database)
    (real,) = parse_qs(place.query)["host"]
    wire = Wire(Path(real, _SOCKET))
    async with await asyncio.start_unix_server(wire.serve, folder / _SOCKET):
        try:
            yield wire, place._replace(query=f"host={folder}").geturl()
        finally:
            await wire.close()


async def test_a_server_that_went_without_a_word_is_noticed(database: str, tmp_path: Path) -> None:
    stopping = asyncio.Event()
    speaker = await asyncpg.connect(database)
    try:
        async with asyncio.timeout(20), wire_to(database, tmp_path) as (wire, url), asyncio.TaskGroup() as tasks:
            wakeups = Wakeups(url, probe_seconds=0.3)
            tasks.create_task(wakeups.run(stopping))
            async with wakeups.subscribe("news") as news:
                await news.wait()  # it listens
                news.clear()
                await speaker.execute("NOTIFY news")
                await news.wait()

                wire.fall_silent()
                news.clear()
                await news.wait()  # it listens again
                news.clear()
                await speaker.execute("NOTIFY news")
                await news.wait()
            stopping.set()
    finally:
        await speaker.close()
