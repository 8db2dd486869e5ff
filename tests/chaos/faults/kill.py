"""A process of ours is killed and started again by whoever supervises it."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Sequence

from services.fixer.api import Stage as FixStage
from services.kernel.db import Pool, is_outage
from tests.chaos.stage import Stage

STAGES = tuple(stage.value for stage in FixStage)
"""Of fixes, in their order."""
_WATCH_SECONDS = 15.0
_LOOK_SECONDS = 0.04


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


@dataclasses.dataclass(frozen=True, slots=True)
class KillInMidFix:
    """A fixer is killed as soon as a fix is that far; where none comes so far in time, without that."""

    hand: str
    mid: str
    """A stage of fixes."""
    down: float

    async def strike(self, stage: Stage) -> None:
        """Does not wait until it is ready, either; with two fixers, it may be the other one's fix."""
        hand = stage.crew.named(self.hand)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_WATCH_SECONDS):
                await _reached(stage, self.mid)
        async with hand.busy:
            await hand.kill()
            await asyncio.sleep(self.down)
            await stage.crew.start(hand)


async def _reached(stage: Stage, mid: str) -> None:
    query = "SELECT EXISTS (SELECT FROM fixer.task WHERE stage = ANY($1) AND leased_until > now())"
    async with stage.pool() as pool:
        while not await _asked(pool, query, STAGES[STAGES.index(mid) :]):
            await asyncio.sleep(_LOOK_SECONDS)


async def _asked(pool: Pool, query: str, stages: Sequence[str]) -> bool:
    try:
        return bool(await pool.fetchval(query, stages))
    except Exception as error:
        if not is_outage(error):
            raise
        return False  # the database is being struck, too
