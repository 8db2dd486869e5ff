"""The lanes that scans wait in, by how urgent they are. Each gets its share of the work (`work/lanes.py`)."""

from __future__ import annotations

from typing import Final

LANE_PUSH: Final = 0
LANE_PERSON: Final = 1
LANE_REEVALUATION: Final = 2
LANE_BULK: Final = 3
LANES: Final = (LANE_PUSH, LANE_PERSON, LANE_REEVALUATION, LANE_BULK)
"""The most urgent one first."""
PATIENT_LANES: Final = frozenset({LANE_REEVALUATION, LANE_BULK})
"""Nobody waits for one scan of these: they may not have everything."""
