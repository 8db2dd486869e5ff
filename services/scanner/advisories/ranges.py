"""Ranges of affected versions: events become intervals (OSV schema, "Evaluation")."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from services.scanner.advisories.osv import Event, Range

Key = Callable[[str], Any]
"""Turns a version into something that sorts."""


class Upper(enum.IntEnum):
    """How an interval ends."""

    OPEN = 0
    """Never: every later version is affected."""
    FIXED = 1
    """Before the version that fixes it."""
    LAST = 2
    """With the last affected version, itself included."""
    LIMIT = 3
    """Before a version that nothing is said about."""


class Interval(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Affected versions without a gap."""

    lower: str
    """First affected version; empty: from the very beginning."""
    upper: str
    """Empty when `kind` is OPEN."""
    kind: Upper

    def covers(self, version: Any, key: Key) -> bool:
        """Tells whether a version, given as its key, lies inside."""
        if self.lower and version < key(self.lower):
            return False
        if self.kind is Upper.OPEN:
            return True
        upper = key(self.upper)
        return bool(version <= upper) if self.kind is Upper.LAST else bool(version < upper)


class _Kind(enum.IntEnum):
    INTRODUCED = 0
    FIXED = 1
    LAST_AFFECTED = 2


_Point = tuple[Any, _Kind, str]


def to_intervals(ranges: Sequence[Range], key: Key) -> tuple[Interval, ...]:
    """Turns the ranges of one package into intervals, without duplicates, in the order of the ranges."""
    found: dict[Interval, None] = {}
    for each in ranges:
        if each.type != "GIT":
            found.update(dict.fromkeys(_intervals(each.events or [], key)))
    return tuple(found)


def _intervals(events: Sequence[Event], key: Key) -> list[Interval]:
    intervals = []
    start: str | None = None
    for _, kind, version in _ordered(events, key):
        if kind is _Kind.INTRODUCED:
            start = version if start is None else start
        elif start is not None:
            upper = Upper.FIXED if kind is _Kind.FIXED else Upper.LAST
            intervals.append(Interval("" if start == "0" else start, version, upper))
            start = None
    if start is not None:
        intervals.append(Interval("" if start == "0" else start, "", Upper.OPEN))
    limits = [event.limit for event in events if event.limit]
    if limits and "*" not in limits:
        intervals = [_below(interval, max(limits, key=key), key) for interval in intervals]
    return [interval for interval in intervals if not _is_empty(interval, key)]


def _ordered(events: Sequence[Event], key: Key) -> list[_Point]:
    """Sorts events by version. `introduced: 0` comes before every version.

    At one and the same version a fix that ends an interval comes before the start of the next one, so that nothing
    between two intervals is lost; an introduction and a fix that stand alone there make an empty interval.
    """
    points: list[_Point] = []
    for event in events:
        if event.introduced is not None:
            points.append((key(event.introduced), _Kind.INTRODUCED, event.introduced))
        if event.fixed is not None:
            points.append((key(event.fixed), _Kind.FIXED, event.fixed))
        if event.last_affected is not None:
            points.append((key(event.last_affected), _Kind.LAST_AFFECTED, event.last_affected))
    points.sort(key=lambda point: (point[2] != "0" or point[1] is not _Kind.INTRODUCED, point[0], point[1]))
    active = False
    for place, point in enumerate(points):
        following = points[place + 1] if place + 1 < len(points) else None
        if (
            active
            and following is not None
            and (point[1], following[1]) == (_Kind.INTRODUCED, _Kind.FIXED)
            and point[0] == following[0]
        ):
            points[place], points[place + 1] = following, point
        active = points[place][1] is _Kind.INTRODUCED
    return points


def _below(interval: Interval, limit: str, key: Key) -> Interval:
    if interval.kind is not Upper.OPEN:
        end, bound = key(interval.upper), key(limit)
        if end < bound or (end == bound and interval.kind is Upper.FIXED):
            return interval
    return Interval(interval.lower, limit, Upper.LIMIT)


def _is_empty(interval: Interval, key: Key) -> bool:
    """Nothing lies in `[x, x)`; nor below "0", the word of Debian and Alpine for "never affected"."""
    if interval.kind in (Upper.OPEN, Upper.LAST):
        return False
    if not interval.lower:
        return interval.upper == "0"
    return bool(key(interval.lower) >= key(interval.upper))
