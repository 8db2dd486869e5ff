"""Lanes: which scans a process may begin now, and whose turn it is among them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Final

from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH, LANE_REEVALUATION, LANES, PATIENT_LANES

WEIGHTS: Final[Mapping[int, int]] = MappingProxyType(
    {LANE_PUSH: 8, LANE_PERSON: 4, LANE_REEVALUATION: 2, LANE_BULK: 1}
)
"""Starts that lanes get of one another while all of them have work."""
_CALM_SECONDS: Final = 2.0
"""So long after an urgent scan has begun, patient ones have one slot: they would have all of the machine."""
_BREATH_SECONDS: Final = 0.5
"""So long that slot stays empty after each of them: an urgent one finds the machine free, more often than not."""


class Slots:
    """The scans that one process has in work, and the order in which lanes may have those that are free.

    Lanes share starts by their weights (stride scheduling): the one that had least for its weight is first. Who
    had nothing to do gets nothing for it later. So a lane with work waits no longer than the sum of all weights.
    Times are any clock's, in seconds.
    """

    def __init__(self, total: int, reserved: int) -> None:
        """Of `total` slots, `reserved` are kept from lanes that can wait; one slot alone is for everybody."""
        self.deciding = asyncio.Lock()
        """Held by whoever looks for work between the question and `take`, if that is not at once."""
        self._free = total
        self._most_patient = max(total - reserved, 1)
        self._patient = 0
        self._calm_at = 0.0
        self._rested_at = 0.0
        self._passed = dict.fromkeys(LANES, 0.0)
        self._asked = dict.fromkeys(LANES, 0)
        self._hearers: list[Callable[[], None]] = []

    def open_lanes(self, now: float) -> Sequence[int]:
        """Returns the lanes that may begin a scan, the one whose turn it is first; none without a free slot.

        Of lanes that can wait there are none behind one that somebody asks for.
        """
        if self._free <= 0:
            return ()
        most_patient = self._most_patient if now >= self._calm_at else int(now >= self._rested_at)
        lanes = LANES if self._patient < most_patient else [lane for lane in LANES if lane not in PATIENT_LANES]
        ordered = sorted(lanes, key=lambda lane: self._passed[lane])
        first = next((ordered.index(lane) for lane in ordered if self._asked[lane]), len(ordered))
        return [lane for place, lane in enumerate(ordered) if place <= first or lane not in PATIENT_LANES]

    @contextmanager
    def asking(self, lane: int) -> Iterator[None]:
        """Inside, somebody who finds work elsewhere waits for this lane to be open: it is not passed over."""
        self._asked[lane] += 1
        try:
            yield
        finally:
            self._asked[lane] -= 1

    @contextmanager
    def hearing(self, freed: Callable[[], None]) -> Iterator[None]:
        """Inside, the function is called whenever a slot is given back."""
        self._hearers.append(freed)
        try:
            yield
        finally:
            self._hearers.remove(freed)

    def take(self, lane: int, now: float) -> None:
        """Notes that a scan of this lane begins: those before it in the order had none."""
        self._free -= 1
        if lane in PATIENT_LANES:
            self._patient += 1
        else:
            self._calm_at = now + _CALM_SECONDS
        reached = self._passed[lane]
        self._passed = {each: max(passed, reached) for each, passed in self._passed.items()}
        self._passed[lane] += 1 / WEIGHTS[lane]

    def give_back(self, lane: int, now: float) -> None:
        """Notes that a scan that began in this lane has ended."""
        self._free += 1
        if lane in PATIENT_LANES:
            self._patient -= 1
            self._rested_at = now + _BREATH_SECONDS
        for freed in self._hearers:
            freed()
