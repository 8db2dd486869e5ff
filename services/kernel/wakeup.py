"""Wake-ups: LISTEN on one connection for the whole process, so that nobody has to poll fast."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog

from services.kernel.db import connect, is_outage

log = structlog.get_logger()

_PROBE_SECONDS = 20.0


class Wakeups:
    """Tells waiters that something was committed. A hint only: whoever waits also looks by itself now and then."""

    def __init__(self, url: str, *, probe_seconds: float = _PROBE_SECONDS) -> None:
        """A server that went without a word is noticed after twice `probe_seconds`."""
        self._url = url
        self._probe_seconds = probe_seconds
        self._hearers: dict[str, set[Callable[[str], None]]] = defaultdict(set)
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._lost = asyncio.Event()
        self._listening = asyncio.Lock()

    async def run(self, stopping: asyncio.Event) -> None:
        """Keeps the connection until `stopping`; a lost one is opened again and wakes everybody once."""
        while not stopping.is_set():
            try:
                await self._listen()
                self.wake_all()
                while not await self._ended(stopping):
                    await self._probe()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("wakeups.lost", error=type(error).__name__)
                await wait(stopping, 0.5)
            finally:
                if self._connection is not None:
                    self._connection.terminate()
                    self._connection = None
        self.wake_all()

    @asynccontextmanager
    async def subscribe(self, channel: str) -> AsyncIterator[asyncio.Event]:
        """Yields an event that is set at every NOTIFY on the channel; the waiter clears it before it looks."""
        event = asyncio.Event()
        async with self.hear(channel, lambda _payload: event.set()):
            yield event

    @asynccontextmanager
    async def hear(self, channel: str, heard: Callable[[str], None]) -> AsyncIterator[None]:
        """Calls `heard` with the payload of every NOTIFY on the channel; with "" when any may have been missed."""
        self._hearers[channel].add(heard)
        try:
            await self._follow(channel)
            yield
        finally:
            self._hearers[channel].discard(heard)

    def wake_all(self) -> None:
        """Wakes every waiter of every channel."""
        for hearers in self._hearers.values():
            for heard in hearers:
                heard("")

    async def _listen(self) -> None:
        self._lost.clear()
        connection = await connect(self._url, application_name="drydock wakeups")
        self._connection = connection
        connection.add_termination_listener(lambda _: self._lost.set())
        for channel in list(self._hearers):
            await self._follow(channel)

    async def _ended(self, stopping: asyncio.Event) -> bool:
        await wait_any((stopping, self._lost), self._probe_seconds)
        return stopping.is_set() or self._lost.is_set()

    async def _probe(self) -> None:
        async with self._listening:
            if self._connection is not None and not self._connection.is_closed():
                await self._connection.execute("SELECT 1", timeout=self._probe_seconds)

    async def _follow(self, channel: str) -> None:
        """Listens on the channel if there is a connection; without one, `run` does it once there is."""
        async with self._listening:
            if self._connection is None or self._connection.is_closed():
                return
            try:
                await self._connection.add_listener(channel, self._heard)
            except Exception as error:
                if not is_outage(error):
                    raise
                self._lost.set()

    def _heard(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        for heard in self._hearers[channel]:
            heard(str(payload))


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Waits for the event, at most so long; returns whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def wait_any(events: Sequence[asyncio.Event], seconds: float) -> None:
    """Waits until one of the events is set, at most so long."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
