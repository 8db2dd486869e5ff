"""A seed gives one schedule, and every schedule hits everything."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.chaos.faults.kill import Kill, KillInMidFix
from tests.chaos.faults.outage import BrokerAway, DatabaseAway
from tests.chaos.schedule import Plan, schedule

PLAN = Plan(pushes=1000, fixes=50, kills=2, outage_seconds=30.0, everything=True)


def test_a_seed_gives_the_same_schedule_every_time() -> None:
    assert schedule(PLAN, 1) == schedule(PLAN, 1) != schedule(PLAN, 2)


@pytest.mark.parametrize("seed", range(20))
def test_every_process_is_killed_as_often_as_the_plan_says_before_the_last_push(seed: int) -> None:
    strokes = schedule(PLAN, seed)
    kills = Counter(stroke.fault.hand for stroke in strokes if isinstance(stroke.fault, Kill | KillInMidFix))
    assert kills == dict.fromkeys(PLAN.hands, PLAN.kills)
    for away in (BrokerAway, DatabaseAway):
        absences = [stroke.fault.seconds for stroke in strokes if isinstance(stroke.fault, away)]
        assert len(absences) == PLAN.kills
        assert max(absences) == PLAN.outage_seconds
    afters = [stroke.after for stroke in strokes]
    assert afters == sorted(afters)
    assert afters[-1] < PLAN.pushes
