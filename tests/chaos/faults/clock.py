"""The clock of one process's machine is set wrong, and right again later."""

from __future__ import annotations

import asyncio
import dataclasses

from tests.chaos.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class ClockJump:
    """Wall time jumps by so many seconds, forward or back; monotonic time does not."""

    hand: str
    by: float
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Says so in the file that the process's clock follows (see `tests/chaos/child`)."""
        hand = stage.crew.named(self.hand)
        hand.clock.write_text(str(self.by))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            hand.clock.write_text("0")
