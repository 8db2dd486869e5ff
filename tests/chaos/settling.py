"""Whether all has come to rest: rows, messages, deliveries, what registries have to tell, and every process."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from services.fixer.api import FIXED_SUFFIX
from services.kernel.bus.interface import (
    BULK_REQUESTS,
    FIX_EVENTS,
    IMAGE_EVENTS,
    SCAN_EVENTS,
    SCAN_REQUESTS,
    Bus,
)
from services.kernel.db import Pool
from tests.chaos.stage import Stage

GROUPS = (
    ("rules", IMAGE_EVENTS),
    ("scanner.tags", IMAGE_EVENTS),
    ("scanner", SCAN_REQUESTS),
    ("scanner.bulk", BULK_REQUESTS),
    ("notifier", SCAN_EVENTS),
    ("notifier", FIX_EVENTS),
)
"""Every consumer group and what it reads."""
_LOOK_SECONDS = 0.5
_UNSETTLED = {
    "tasks that have not ended": "SELECT count(*) FROM scanner.task WHERE ended_at IS NULL",
    "scans to be done": "SELECT count(*) FROM scanner.work",
    "tags in doubt": "SELECT count(*) FROM scanner.tag WHERE doubted_at IS NOT NULL",
    "events in the rules' outbox": "SELECT count(*) FROM rules.outbox",
    "events in the scanner's outbox": "SELECT count(*) FROM scanner.outbox",
    "marks of the stream": "SELECT count(*) FROM scanner.stream_mark",
    "images to be told of": "SELECT count(*) FROM scanner.stream_image WHERE heard > told",
    "events in the stream's outbox": "SELECT count(*) FROM scanner.finding_outbox",
    "fixes that have not ended": "SELECT count(*) FROM fixer.task WHERE open",
    "events in the fixer's outbox": "SELECT count(*) FROM fixer.outbox",
    "deliveries that have not ended": "SELECT count(*) FROM notifier.delivery WHERE finished_at IS NULL",
}
_COUNT_PUSHED = "SELECT count(*) FROM scanner.task WHERE tag NOT LIKE $1"
_FIXED = f"%\\{FIXED_SUFFIX}"
"""What fixers push is no push of ours."""


async def settle(stage: Stage, pushes: int, deadline_seconds: float) -> Mapping[str, int]:
    """Waits until nothing is under way; returns what still is at the deadline, nothing when all went well."""
    loop = asyncio.get_running_loop()
    give_up = loop.time() + deadline_seconds
    async with stage.pool() as pool, stage.bus(pool) as bus:
        calm = 0
        while True:
            left = await _untold(stage) or await _unsettled(pool, bus, pushes) or await _not_ready(stage)
            calm = 0 if left else calm + 1
            if (
                calm == 2 or loop.time() > give_up
            ):  # twice: between two looks something may pass from one to the other
                return left
            await asyncio.sleep(_LOOK_SECONDS)


async def _untold(stage: Stage) -> dict[str, int]:
    """Fixers push, too: whoever registries have not told of that, nobody else can know of."""
    found = {}
    for place in stage.places:
        assert place.registry.lab is not None
        try:
            await asyncio.wait_for(place.registry.lab.notified(), _LOOK_SECONDS)
        except TimeoutError:
            found[f"events of {place.registry.access.address} that it tells of"] = 1
    return found


async def _unsettled(pool: Pool, bus: Bus, pushes: int) -> dict[str, int]:
    found = {name: await pool.fetchval(query) for name, query in _UNSETTLED.items()}
    found["pushes without a task"] = max(pushes - await pool.fetchval(_COUNT_PUSHED, _FIXED), 0)
    for group, topic in GROUPS:
        found[f"messages that {group} has not read"] = await bus.lag(group, topic)
    return {name: count for name, count in found.items() if count}


async def _not_ready(stage: Stage) -> dict[str, int]:
    found = {hand.name: await hand.served.obstacles() for hand in stage.crew.hands}
    return {f"obstacles of {name}: {why}": 1 for name, why in found.items() if why != {}}
