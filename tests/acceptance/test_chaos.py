"""The chaos suite, bounded: everything is killed once while pushes arrive, and nothing is lost or done twice."""

from __future__ import annotations

import pytest

from tests.chaos.crew import FEWER
from tests.chaos.run import run
from tests.chaos.schedule import Plan
from tests.chaos.stage import scratch_stage

SEED = 1  # the fixer is killed while it pushes, and one of the fixes is called off
PLAN = Plan(pushes=24, fixes=3, kills=1, outage_seconds=3.0, everything=False, roles=FEWER)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("bus", ["postgres", "kafka"])
async def test_nothing_is_lost_or_done_twice_while_everything_is_killed(bus: str) -> None:
    async with scratch_stage(kafka=bus == "kafka", roles=FEWER) as stage:
        result = await run(stage, PLAN, SEED, settle_seconds=90)
    assert result.good, result.complaint()
    assert result.finding_events >= result.findings > 0
    assert result.fixes["SUCCEEDED"] > 0
    assert set(result.kills.values()) == {1}
    assert (result.faults["BrokerAway"], result.faults["DatabaseAway"]) == (1, 1)
