"""What every fault is: done to the stage, over when it returns."""

from __future__ import annotations

from typing import Protocol

from tests.chaos.stage import Stage


class Fault(Protocol):
    """One thing that goes wrong. Its words, by `str`, are stable: they are the schedule that a seed gives."""

    async def strike(self, stage: Stage) -> None:
        """Does it, waits as long as it lasts, and takes it back, as an operator or a supervisor would."""
        ...
