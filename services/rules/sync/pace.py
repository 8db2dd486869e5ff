"""Pace: no more requests in a second than a registry is to bear."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from services.kernel.clock import Clock


class Pace:
    """Spaces the requests of one walk evenly; what was not used is not saved up."""

    def __init__(
        self,
        clock: Clock,
        per_second: float,
        *,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._gap = 1.0 / per_second
        self._sleep = sleep
        self._next = clock.monotonic()

    async def turn(self) -> None:
        """Returns when the next request may be sent."""
        now = self._clock.monotonic()
        if now < self._next:
            await self._sleep(self._next - now)
        self._next = max(now, self._next) + self._gap
