"""The broker or the database is killed and stays away for a while."""

from __future__ import annotations

import asyncio
import dataclasses

from tests.chaos.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class DatabaseAway:
    """Every process of the server is killed; it recovers from its log when it is back."""

    delay: float
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Kills it and starts it again."""
        await asyncio.sleep(self.delay)
        stage.database.kill()
        await asyncio.sleep(self.seconds)
        await stage.database.start()


@dataclasses.dataclass(frozen=True, slots=True)
class BrokerAway:
    """The broker is killed; on PostgreSQL's bus there is none, and the database goes instead."""

    delay: float
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Kills it and starts it again."""
        if stage.broker is None:
            await DatabaseAway(self.delay, self.seconds).strike(stage)
            return
        await asyncio.sleep(self.delay)
        stage.broker.kill()
        await asyncio.sleep(self.seconds)
        await stage.broker.ready()
