"""How often each key may call: a bucket of tokens for each, in the memory of this process."""

from __future__ import annotations

import dataclasses
import math
from collections import OrderedDict

from services.gateway.api import Key
from services.kernel.clock import Clock, SystemClock
from services.kernel.errors import Kind, ServiceError

_MAX_BUCKETS = 4096


@dataclasses.dataclass(slots=True)
class _Bucket:
    tokens: float
    filled_at: float


class Rates:
    """Lets each key make so many calls a second, and so many at once. For use on one event loop.

    Every gateway process counts for itself: behind a balancer a key has the rate as often as there are processes.
    """

    def __init__(self, clock: Clock, *, per_second: float, burst: int) -> None:
        """A rate of 0 limits nobody. A burst below the rate is raised to it: a second's calls may come at once."""
        self._clock = clock
        self._rate = per_second
        self._burst = max(float(burst), per_second, 1.0)
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, key: Key) -> None:
        """Counts one call of a key.

        Raises:
            ServiceError: RATE_EXCEEDED (RESOURCE_EXHAUSTED) with the seconds after which one more may be made.
        """
        if not self._rate:
            return
        now = self._clock.monotonic()
        bucket = self._buckets.setdefault(key.key_id, _Bucket(self._burst, now))
        self._buckets.move_to_end(key.key_id)
        bucket.tokens = min(self._burst, bucket.tokens + (now - bucket.filled_at) * self._rate)
        bucket.filled_at = now
        if bucket.tokens < 1.0:
            wait = math.ceil((1.0 - bucket.tokens) / self._rate * 1000) / 1000
            raise ServiceError(
                Kind.RESOURCE_EXHAUSTED,
                "RATE_EXCEEDED",
                f"The key {key.name!r} makes more than {self._rate:g} calls a second.",
                hint="Wait as long as the answer says; who waits for a scan need not ask again and again.",
                retry_after=wait,
            )
        bucket.tokens -= 1.0
        while len(self._buckets) > _MAX_BUCKETS:
            self._buckets.popitem(last=False)  # the one that has not called for the longest: it is full


NO_LIMIT = Rates(SystemClock(), per_second=0, burst=0)
"""For doors that count no calls."""
