"""From a registry's webhook to SCANNING, on every bus."""

from __future__ import annotations

from tests.benchmarks.figures import Figure, Result
from tests.benchmarks.spaced import SPACING_SECONDS, in_milliseconds, spaced_pushes
from tests.benchmarks.stage import BUSES

PUSHES = 500


async def measure() -> Result:
    """Pushes, one bus after the other."""
    figures: list[Figure] = []
    for bus in BUSES:
        pushes = await spaced_pushes(bus, PUSHES)
        for what, seconds, bar in (
            ("SCANNING committed", [push.committed - push.sent for push in pushes], "<= 100"),
            ("webhook answered", [push.answered - push.sent for push in pushes], ""),
            ("scan begun", [push.running - push.sent for push in pushes], ""),
            ("COMPLETE committed", [push.complete - push.sent for push in pushes], ""),
        ):
            figures += in_milliseconds(f"{bus.name}: {what}", seconds, bar=bar)
    return Result(
        question=(
            f"{PUSHES} pushes, one every {SPACING_SECONDS * 1000:.0f} ms, each of an image not seen before, told "
            "by a real registry's recorded envelope: time from sending the webhook until the task's row is "
            "committed, from when on the status call (asked after each) says SCANNING; and what lies around it."
        ),
        figures=tuple(figures),
    )
