"""One run: pushes arrive, the schedule strikes, all comes to rest, the invariants are looked at."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from collections import Counter as Tally
from collections.abc import Mapping

from tests.chaos.evidence import Evidence, gather
from tests.chaos.fixes.asking import ask_all
from tests.chaos.invariants import INVARIANTS
from tests.chaos.pushes import Counter, push_all
from tests.chaos.schedule import Plan, Wrecker, schedule
from tests.chaos.settling import settle
from tests.chaos.stage import Stage

_LONGEST_LIST = 8
_PROGRESS_SECONDS = 5.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of a run."""

    seed: int
    plan: Plan
    seconds: float
    settling_seconds: float
    kills: Mapping[str, int]
    faults: Mapping[str, int]
    """How many of each kind."""
    ends: Mapping[str, int]
    """Tasks by how they ended."""
    fixes: Mapping[str, int]
    """Fixes by how they ended."""
    notifications: int
    repeated: int
    """Notifications that a receiver took more than once, counting the repetitions."""
    unknown: Mapping[str, int]
    """Receipts of unknown outcome by reason: why something was repeated."""
    findings: int
    """Open in the stream at the end."""
    finding_events: int
    """Messages of the stream, repeated ones included."""
    broken: Mapping[str, list[str]]
    """What contradicts each invariant; all of them are named."""

    @property
    def good(self) -> bool:
        """Whether every invariant holds."""
        return not any(self.broken.values())

    def complaint(self) -> str:
        """Says what does not hold, and how to see it again."""
        lines = [f"seed {self.seed}, {self.plan}:"]
        for name, found in self.broken.items():
            if found:
                lines += [f"{name}: {len(found)} times not", *(f"  {each}" for each in found[:_LONGEST_LIST])]
        return "\n".join(lines)


async def run(stage: Stage, plan: Plan, seed: int, *, settle_seconds: float) -> Result:
    """Does it all."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    counter = Counter()
    wrecker = Wrecker(stage, counter)
    async with asyncio.TaskGroup() as tasks:
        progress = tasks.create_task(_tell(counter, wrecker, plan), name="progress")
        async with asyncio.TaskGroup() as work:
            work.create_task(wrecker.run(schedule(plan, seed)), name="wrecker")
            for number, place in enumerate(stage.places):
                numbers = range(number, plan.pushes, len(stage.places))
                pushing = push_all(place.registry, place.instance_id, numbers, seed=seed, counter=counter)
                work.create_task(pushing, name=f"pushes-{number}")
            asking = work.create_task(
                ask_all(stage, plan.fixes, plan.pushes, seed=seed, counter=counter), name="fixes"
            )
        progress.cancel()
    quiet = loop.time()
    unsettled = await settle(stage, plan.pushes + plan.fixes, settle_seconds)
    ended = loop.time()
    evidence = await gather(stage, counter.pushes, asking.result(), unsettled)
    return _result(stage, plan, seed, evidence, wrecker, seconds=ended - began, settling=ended - quiet)


def _result(
    stage: Stage, plan: Plan, seed: int, found: Evidence, wrecker: Wrecker, *, seconds: float, settling: float
) -> Result:
    taken = Tally(found.received)
    return Result(
        seed=seed,
        plan=plan,
        seconds=round(seconds, 1),
        settling_seconds=round(settling, 1),
        kills={hand.name: hand.kills for hand in stage.crew.hands},
        faults=dict(Tally(words.partition("(")[0] for words in wrecker.struck)),
        ends=dict(Tally(f"{row['state']} {row['reason']}".strip() for row in found.tasks)),
        fixes=dict(Tally(f"{row['state']} {row['reason']}".strip() for row in found.fixes.tasks)),
        notifications=len(taken),
        repeated=sum(taken.values()) - len(taken),
        unknown=dict(Tally(row["reason"] for row in found.receipts if row["outcome"] == "UNKNOWN")),
        findings=len(found.open_uids),
        finding_events=len(found.finding_events),
        broken={name: check(found) for name, check in INVARIANTS.items()},
    )


async def _tell(counter: Counter, wrecker: Wrecker, plan: Plan) -> None:
    while True:
        line = f"{len(counter.pushes)} of {plan.pushes} pushes, {len(wrecker.struck)} faults"
        if wrecker.struck:
            line += f", last {wrecker.struck[-1]}"
        print(line, file=sys.stderr, flush=True)
        await asyncio.sleep(_PROGRESS_SECONDS)
