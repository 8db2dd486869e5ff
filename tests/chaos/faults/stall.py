"""Silence: a process, or the way between two, stands still with every connection open, and goes on later."""

from __future__ import annotations

import asyncio
import dataclasses
import signal

from tests.chaos.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class Freeze:
    """A process stands still (SIGSTOP) for longer than its leases: others take its work, and then it wakes."""

    hand: str
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Stops and continues it."""
        hand = stage.crew.named(self.hand)
        async with hand.busy:
            hand.signal(signal.SIGSTOP)
            try:
                await asyncio.sleep(self.seconds)
            finally:
                hand.signal(signal.SIGCONT)


@dataclasses.dataclass(frozen=True, slots=True)
class Silence:
    """One process does not hear from the database, nor the database from it; all others do."""

    hand: str
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Holds its line."""
        hand = stage.crew.named(self.hand)
        hand.line.hold()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            hand.line.let_go()


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenBroker:
    """The broker stands still for everybody."""

    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Stops and continues it; on PostgreSQL's bus there is no broker."""
        if stage.broker is None:
            return
        stage.broker.freeze()
        try:
            await asyncio.sleep(self.seconds)
        finally:
            stage.broker.thaw()
