"""Time as a parameter: what needs a clock takes one, so that tests need not sleep."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Wall time for records and monotonic time for durations."""

    def now(self) -> datetime:
        """Returns the present moment, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Returns seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Returns the present moment, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Returns seconds that never go back; only differences mean anything."""
        return time.monotonic()
