"""Maven's ranges (POM Reference, "Dependency Version Requirement Specification"; `VersionRange`).

A version without brackets is a wish, not a bound: Maven takes any other version too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from services.kernel.versions.maven import MavenKey, sort_key
from services.kernel.versions.ranges import CACHED


class Interval(NamedTuple):
    """Versions without a gap; an end that is None is open."""

    lower: MavenKey | None
    lower_included: bool
    upper: MavenKey | None
    upper_included: bool


def satisfies(expression: str, version: str) -> bool:
    """Tells whether the version lies in the range, a choice of intervals separated by commas."""
    key = sort_key(version)
    return any(_holds(interval, key) for interval in _parse(expression))


def _holds(interval: Interval, key: MavenKey) -> bool:
    lower, lower_included, upper, upper_included = interval
    if lower is not None and (key < lower or (key == lower and not lower_included)):
        return False
    return upper is None or key < upper or (key == upper and upper_included)


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> tuple[Interval, ...]:
    """Returns the intervals; none where Maven refuses the range."""
    found: list[Interval] = []
    rest = expression.strip()
    while rest[:1] in ("[", "("):
        end = min((place for place in (rest.find("]"), rest.find(")")) if place > 0), default=0)
        interval = _interval(rest[: end + 1]) if end else None
        if interval is None or (found and not _is_after(found[-1], interval)):
            return ()
        found.append(interval)
        rest = rest[end + 1 :].strip()
        rest = rest.removeprefix(",").strip()
    if not rest:
        return tuple(found) or (Interval(None, False, None, False),)
    return () if found else (Interval(None, False, None, False),)


def _interval(text: str) -> Interval | None:
    opened, inner, closed = text[0], text[1:-1].strip(), text[-1]
    low, comma, high = (part.strip() for part in inner.partition(","))
    if not comma:
        return Interval(sort_key(low), True, sort_key(low), True) if opened == "[" and closed == "]" else None
    if low == high:  # Maven: "Range cannot have identical boundaries"
        return None
    lower, upper = sort_key(low) if low else None, sort_key(high) if high else None
    if lower is not None and upper is not None and upper < lower:
        return None
    return Interval(lower, opened == "[", upper, closed == "]")


def _is_after(former: Interval, latter: Interval) -> bool:
    # As in Maven, nothing is said of an interval that follows one without an end.
    return former.upper is None or (latter.lower is not None and latter.lower >= former.upper)
