"""The pace of a transfer: a body that only trickles is given up, however long its size would allow."""

from __future__ import annotations

from collections.abc import Awaitable

from services.kernel.clock import Clock
from services.registry.limits import Timeouts


class Pace:
    """Counts the time that one body was waited for; what its reader does meanwhile is not the registry's fault."""

    def __init__(self, clock: Clock, timeouts: Timeouts) -> None:
        self._clock = clock
        self._timeouts = timeouts
        self._waited = 0.0
        self._received = 0

    async def of(self, reading: Awaitable[bytes]) -> bytes:
        """Waits for the next bytes.

        Raises:
            TimeoutError: on the whole they come more slowly than the slowest rate, the time of a request granted.
        """
        began = self._clock.monotonic()
        chunk = await reading
        self._waited += self._clock.monotonic() - began
        self._received += len(chunk)
        times = self._timeouts
        if chunk and self._waited > times.request_seconds + self._received / times.slowest_bytes_per_second:
            raise TimeoutError
        return chunk
