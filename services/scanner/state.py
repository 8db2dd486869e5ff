"""Where a task or a scan stands."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a task or a scan stands."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    RETRYING = "RETRYING"
    COMPLETE = "COMPLETE"
    FAILED = "FAILED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in (State.COMPLETE, State.FAILED)
