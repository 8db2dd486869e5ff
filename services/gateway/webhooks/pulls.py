"""Pulls that are worth telling: a busy registry has thousands a second, and the last of a minute says it all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from services.gateway.webhooks.notice import Action, Ignored, Notice
from services.kernel.clock import Clock

_MOST = 50_000
"""Pulls remembered; of more than these in the time, some are told again."""

_Key = tuple[str, str, str, str]


class PullSieve:
    """Leaves out pulls that nobody wants to know of. In memory: a new process tells a pull once more."""

    def __init__(self, clock: Clock, seconds: float, *, most: int = _MOST) -> None:
        self._clock = clock
        self._seconds = seconds
        self._most = most
        self._told: OrderedDict[_Key, float] = OrderedDict()

    def sift(
        self, instance_id: str, read: Sequence[Notice | Ignored], *, sync: bool
    ) -> tuple[Notice | Ignored, ...]:
        """Returns the notices, those of pulls that are not worth telling replaced by the reason."""
        fresh: set[_Key] = set()
        return tuple(self._sifted(instance_id, entry, sync, fresh) for entry in read)

    def told(self, instance_id: str, notices: Sequence[Notice]) -> None:
        """Remembers the pulls among notices that were published."""
        now = self._clock.monotonic()
        for notice in notices:
            if notice.action is Action.PULL:
                key = _key(instance_id, notice)
                self._told[key] = now
                self._told.move_to_end(key)
        while len(self._told) > self._most:
            self._told.popitem(last=False)

    def _sifted(self, instance_id: str, entry: Notice | Ignored, sync: bool, fresh: set[_Key]) -> Notice | Ignored:
        if isinstance(entry, Ignored) or entry.action is not Action.PULL:
            return entry
        if not sync:
            return Ignored.SYNC_OFF
        key = _key(instance_id, entry)
        told = self._told.get(key)
        if key in fresh or (told is not None and self._clock.monotonic() - told < self._seconds):
            return Ignored.REPEATED
        fresh.add(key)
        return entry


def _key(instance_id: str, notice: Notice) -> _Key:
    return (instance_id, notice.repository.path, notice.tag, notice.digest)
