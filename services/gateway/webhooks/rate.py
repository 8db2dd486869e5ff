"""How many events the senders of one instance may bring: one that runs wild must not keep the others out."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict

from services.kernel.clock import Clock
from services.kernel.errors import Kind, ServiceError

_MAX_REMEMBERED = 1024


@dataclasses.dataclass(slots=True)
class _Allowance:
    left: float
    """Below zero after a body that held more events than were left; it is taken whole all the same."""
    at: float


class InstanceRates:
    """An allowance of events for each instance, refilled steadily, of one second's worth at most.

    Of this process: several gateways let through as many times as much.
    """

    def __init__(self, clock: Clock, events_per_second: float) -> None:
        self._clock = clock
        self._rate = events_per_second
        self._most = max(events_per_second, 1.0)
        self._known: OrderedDict[str, _Allowance] = OrderedDict()

    def enter(self, instance_id: str) -> None:
        """Counts a delivery, before its body is read.

        Raises:
            ServiceError: WEBHOOK_RATE (RESOURCE_EXHAUSTED), with the time after which there is room again.
        """
        allowance = self._refilled(instance_id)
        if allowance.left < 1:
            raise ServiceError(
                Kind.RESOURCE_EXHAUSTED,
                "WEBHOOK_RATE",
                f"The senders of this instance may bring {self._rate:g} events a second.",
                hint="Send it again later, or have DRYDOCK_GATEWAY_WEBHOOK_EVENTS_PER_SECOND raised.",
                retry_after=(1 - allowance.left) / self._rate,
            )
        allowance.left -= 1

    def count(self, instance_id: str, further: int) -> None:
        """Counts further events of a delivery, which is taken whole: the next one waits for what they exceed."""
        if further > 0:
            self._refilled(instance_id).left -= further

    def _refilled(self, instance_id: str) -> _Allowance:
        now = self._clock.monotonic()
        allowance = self._known.get(instance_id)
        if allowance is None:
            allowance = self._known[instance_id] = _Allowance(left=self._most, at=now)
            while len(self._known) > _MAX_REMEMBERED:
                self._known.popitem(last=False)
        self._known.move_to_end(instance_id)
        allowance.left = min(self._most, allowance.left + (now - allowance.at) * self._rate)
        allowance.at = now
        return allowance
