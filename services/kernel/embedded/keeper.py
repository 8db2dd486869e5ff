"""Keeps a server of ours running: one that ends by itself, or is killed, is started again."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog

from services.kernel.errors import ServiceError

log = structlog.get_logger()

_LOOK_SECONDS = 0.5
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 30.0

Server = subprocess.Popen[bytes]


@asynccontextmanager
async def kept_running(
    name: str,
    *,
    start: Callable[[], Server],
    await_ready: Callable[[Server], Awaitable[None]],
    stop: Callable[[Server], None],
) -> AsyncIterator[Server]:
    """Starts a server, yields it once it is ready, starts it again whenever it ends, and stops it at exit.

    Args:
        name: for the log.
        start: called on the loop's own thread, which the server is tied to; raises OSError when it cannot.
        await_ready: returns when the server can be used; raises ServiceError when it cannot.
        stop: ends it; blocking.

    Raises:
        ServiceError, OSError: what the first start raises; later failures are logged and tried again.
    """
    kept = _Kept(name, start, await_ready)
    try:
        await await_ready(kept.server)
        watching = asyncio.create_task(kept.watch(stop), name=f"keeper of {name}")
        try:
            yield kept.server
        finally:
            watching.cancel()
            await asyncio.wait([watching])
    finally:
        await asyncio.to_thread(stop, kept.server)


class _Kept:
    def __init__(
        self, name: str, start: Callable[[], Server], await_ready: Callable[[Server], Awaitable[None]]
    ) -> None:
        self._name = name
        self._start = start
        self._await_ready = await_ready
        self.server = start()

    async def watch(self, stop: Callable[[Server], None]) -> None:
        """Looks after the server until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            if self.server.poll() is None:
                continue
            log.error("server.ended", server=self._name, status=self.server.returncode, again_in_seconds=pause)
            await asyncio.sleep(pause)
            try:
                self.server = self._start()
                await self._await_ready(self.server)
            except (ServiceError, OSError) as error:  # OSError: no memory, no file descriptor, no program
                log.error("server.not_restarted", server=self._name, error=str(error))
                await asyncio.to_thread(stop, self.server)
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)
            else:
                log.warning("server.restarted", server=self._name, pid=self.server.pid)
                pause = _FIRST_PAUSE_SECONDS
