"""What goes wrong when: a seed gives the same schedule every time."""

from __future__ import annotations

import asyncio
import dataclasses
import random

from tests.chaos.crew import ROLES
from tests.chaos.faults.clock import ClockJump
from tests.chaos.faults.disk import DiskFull
from tests.chaos.faults.interface import Fault
from tests.chaos.faults.kill import STAGES, Kill, KillInMidFix
from tests.chaos.faults.outage import BrokerAway, DatabaseAway
from tests.chaos.faults.stall import Freeze, FrozenBroker, Silence
from tests.chaos.faults.supply import DepotAway, RegistryAway
from tests.chaos.pushes import Counter
from tests.chaos.stage import Stage

PLACES = 3
_DAY = 86_400.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A fault and the push after which it comes."""

    after: int
    fault: Fault


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a run is to go through."""

    pushes: int
    fixes: int
    """Asked for meanwhile."""
    kills: int
    """Of every process, of the broker and of the database."""
    outage_seconds: float
    """How long broker and database stay away at their first kill."""
    everything: bool
    """Stalls, full disks and clocks that jump, too."""
    roles: tuple[str, ...] = ROLES
    """Of the processes that there are."""

    @property
    def hands(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(f"{role}-{self.roles[: place + 1].count(role)}" for place, role in enumerate(self.roles))


def schedule(plan: Plan, seed: int) -> tuple[Stroke, ...]:
    """Spreads the faults over the pushes, at random and never one after the last push."""
    chance = random.Random(seed)
    faults: list[Fault] = []
    for turn in range(plan.kills):
        faults += [_kill(hand, chance) for hand in plan.hands]
        faults += [RegistryAway(chance.randrange(PLACES), chance.uniform(0, 2), chance.uniform(1, 4))]
        faults += [DepotAway(chance.uniform(0, 2), chance.uniform(1, 4))]
        away = plan.outage_seconds if turn == 0 else chance.uniform(1, 5)
        faults += [BrokerAway(chance.uniform(0, 1), away), DatabaseAway(chance.uniform(0, 1), away)]
    if plan.everything:
        for hand in plan.hands:
            faults += [Freeze(hand, chance.uniform(4, 12)), Silence(hand, chance.uniform(4, 12))]
            faults += [ClockJump(hand, by, chance.uniform(2, 8)) for by in (3600.0, -3600.0, 2 * _DAY, -2 * _DAY)]
        faults += [DiskFull(hand, chance.uniform(2, 6)) for hand in plan.hands if hand.startswith("scanner")]
        faults += [RegistryAway(place, chance.uniform(0, 2), chance.uniform(1, 6)) for place in range(PLACES)]
        faults += [DepotAway(chance.uniform(0, 2), chance.uniform(1, 6)) for _ in range(PLACES)]
        faults += [FrozenBroker(chance.uniform(3, 12)) for _ in range(2)]
    chance.shuffle(faults)
    step = plan.pushes / (len(faults) + 1)
    return tuple(
        Stroke(after=int((place + chance.random()) * step), fault=fault) for place, fault in enumerate(faults)
    )


def _kill(hand: str, chance: random.Random) -> Fault:
    if hand.startswith("fixer"):
        return KillInMidFix(hand, chance.choice(STAGES), chance.uniform(0, 2))
    return Kill(hand, chance.uniform(0, 1), chance.uniform(0, 2))


class Wrecker:
    """Strikes as the schedule says."""

    def __init__(self, stage: Stage, counter: Counter) -> None:
        self._stage = stage
        self._counter = counter
        self.struck: list[str] = []

    async def run(self, strokes: tuple[Stroke, ...]) -> None:
        """Strikes all; two faults of the same ground never overlap, all others may."""
        ground = asyncio.Lock()
        async with asyncio.TaskGroup() as tasks:
            for stroke in strokes:
                await self._counter.reach(stroke.after)
                tasks.create_task(self._strike(stroke.fault, ground), name=str(stroke.fault))

    async def _strike(self, fault: Fault, ground: asyncio.Lock) -> None:
        if isinstance(fault, BrokerAway | DatabaseAway | FrozenBroker):
            async with ground:
                await fault.strike(self._stage)
        else:
            await fault.strike(self._stage)
        self.struck.append(str(fault))
