"""A process of ours is killed and started again by whoever supervises it."""

from __future__ import annotations

import asyncio
import dataclasses

from tests.chaos.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """SIGKILL, some seconds of absence, a new start."""

    hand: str
    delay: float
    """From the push that it waited for."""
    down: float

    async def strike(self, stage: Stage) -> None:
        """Does not wait until it is ready: what comes next may well hit it while it starts."""
        hand = stage.crew.named(self.hand)
        await asyncio.sleep(self.delay)
        async with hand.busy:
            await hand.kill()
            await asyncio.sleep(self.down)
            await stage.crew.start(hand)
