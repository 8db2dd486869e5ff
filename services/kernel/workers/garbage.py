"""Garbage: how often a process that imports, or works through records, looks for circles of objects."""

from __future__ import annotations

import gc


def look_seldom() -> None:
    """Makes it seldom: there are few circles, and to look for them as often as usual takes a tenth of the time."""
    gc.set_threshold(100_000, 20, 20)
