"""Lanes: which scans a process may begin now, and whose turn it is among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        self._free = total
        self._most_patient = max(total - reserved, 1)
        self._patient = 0
        self._calm_at = 0.0
        self._rested_at = 0.0
        self._passed = dict.fromkeys(LANES, 0.0)

    def open_lanes(self, now: float) -> Sequence[int]:
        """Returns the lanes that may begin a scan, the one whose turn it is first; none without a free slot."""
        if self._free <= 0:
            return ()
        most_patient = self._most_patient if now >= self._calm_at else int(now >= self._rested_at)
        lanes = LANES if self._patient < most_patient else [lane for lane in LANES if lane not in PATIENT_LANES]
        return sorted(lanes, key=lambda lane: self._passed[lane])

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
