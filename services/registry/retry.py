"""Trying again: which failures of a registry pass by themselves, and how long to wait for that."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.kernel.clock import Clock, SystemClock
from services.kernel.late_log import LateLogger
from services.kernel.reasons import Reason, ScanFailure
from services.registry.limits import RetryPolicy

T = TypeVar("T")
FINAL = "final"
"""Metadata key of a failure that its reason calls passing but that will not pass in seconds."""
_PASSING = frozenset(
    {
        Reason.REGISTRY_UNREACHABLE,
        Reason.REGISTRY_TIMEOUT,
        Reason.REGISTRY_RATE_LIMITED,
        Reason.REGISTRY_ERROR,
        Reason.TRANSFER_CUT_OFF,
    }
)
_log = LateLogger()


class Retrier:
    """Decides after each failure whether to go on, and waits; holds no state between requests."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        clock: Clock | None = None,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Takes the policy and, for tests, time and chance.

        Args:
            policy: bounds.
            clock: reads the dates of Retry-After headers.
            sleep: waits that many seconds.
            draw: returns a number from 0.0 up to 1.0, for the jitter.
        """
        self.clock = clock or SystemClock()
        self._policy = policy
        self._sleep = sleep
        self._draw = draw

    async def call(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Calls until it succeeds; raises the last `ScanFailure` when the policy says enough."""
        number = 0
        while True:
            number += 1
            try:
                return await attempt()
            except ScanFailure as failure:
                await self.pause(failure, number)

    async def pause(self, failure: ScanFailure, number: int) -> None:
        """Waits before the attempt after `number`, or raises the failure when there is to be none."""
        if failure.why not in _PASSING or FINAL in failure.metadata or number >= self._policy.attempts:
            raise failure
        ceiling = min(self._policy.first_seconds * 2 ** (number - 1), self._policy.longest_seconds)
        wait = self._draw() * ceiling
        if failure.retry_after is not None:
            if failure.retry_after > self._policy.longest_seconds:
                # Waiting less than was asked for only makes it worse: the scan itself is put off instead.
                raise failure
            wait += failure.retry_after
        _log.debug("registry.retrying", reason=failure.reason, attempt=number, wait_seconds=round(wait, 3))
        await self._sleep(wait)
