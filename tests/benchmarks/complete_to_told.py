"""From a finished scan to the receiver of its notification, on every bus."""

from __future__ import annotations

from tests.benchmarks.figures import Figure, Result
from tests.benchmarks.spaced import SPACING_SECONDS, in_milliseconds, spaced_pushes
from tests.benchmarks.stage import BUSES

PUSHES = 200


async def measure() -> Result:
    """Pushes, one bus after the other."""
    figures: list[Figure] = []
    for bus in BUSES:
        pushes = await spaced_pushes(bus, PUSHES)
        seconds = [push.told - push.complete for push in pushes]
        figures += in_milliseconds(f"{bus.name}: COMPLETE to receiver", seconds, bar="<= 250")
    return Result(
        question=(
            f"{PUSHES} pushes, one every {SPACING_SECONDS * 1000:.0f} ms: time from the commit of COMPLETE "
            "until the receiver has read the notification, which it answers with 204 at once."
        ),
        figures=tuple(figures),
    )
