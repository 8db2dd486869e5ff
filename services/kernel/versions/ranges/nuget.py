"""NuGet's ranges and floating versions (NuGet documentation, "Package versioning"; `VersionRange`).

A floating version (`1.*`) says what NuGet looks for. Only versions under its pattern satisfy it here, as
`FloatRange.Satisfies` has it, although NuGet falls back on a newer one where there is none.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from services.kernel.versions.nuget import is_valid, sort_key
from services.kernel.versions.ranges import CACHED
from services.kernel.versions.semver import RELEASED, SemverKey

_INTERVAL = re.compile(r"([\[(])([^,]*)(?:(,)([^,]*))?([\])])", re.DOTALL)
_STARS = re.compile(r"(?P<numbers>(?:[0-9]+\.){0,3}\*|[0-9]+(?:\.[0-9]+){0,3})(?:-(?P<labels>[0-9A-Za-z.-]*)\*)?")


class Pattern(NamedTuple):
    """What a floating version floats in."""

    numbers: tuple[int, ...]
    """The numbers before the star; all four of them where only the prerelease floats."""
    labels: str | None
    """How a prerelease begins; None where none is wanted."""


class Range(NamedTuple):
    """Versions without a gap, and the pattern that they must follow; an end that is None is open."""

    lower: SemverKey | None
    lower_included: bool
    upper: SemverKey | None
    upper_included: bool
    pattern: Pattern | None


def satisfies(expression: str, version: str) -> bool:
    """Tells whether the version lies in the range and, where the range floats, follows its pattern."""
    wanted = _parse(expression)
    if wanted is None or not is_valid(version):
        return False
    key = sort_key(version)
    if wanted.lower is not None and (key < wanted.lower or (key == wanted.lower and not wanted.lower_included)):
        return False
    if wanted.upper is not None and (key > wanted.upper or (key == wanted.upper and not wanted.upper_included)):
        return False
    return wanted.pattern is None or _follows(wanted.pattern, key, version)


def _follows(pattern: Pattern, key: SemverKey, version: str) -> bool:
    numbers = (*key[1], 0, 0, 0, 0)[: len(pattern.numbers)]
    if numbers != pattern.numbers:
        return False
    if key[2] == RELEASED:
        return True
    labels = version.partition("+")[0].partition("-")[2].strip()
    return pattern.labels is not None and labels.lower().startswith(pattern.labels.lower())


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> Range | None:
    """Returns the range; None where NuGet refuses it."""
    text = expression.strip()
    match = _INTERVAL.fullmatch(text)
    if match is None:
        found = _lower(text)
        return Range(found[0], True, None, False, found[1]) if found else None
    opened, low, comma, high, closed = match.groups()
    if not comma:
        high = low
        if opened != "[" or closed != "]":
            return None
    if not low and not high:
        return None
    lower = _lower(low) if low.strip() else (None, None)
    upper = sort_key(high) if is_valid(high) else None
    if lower is None or (high.strip() and upper is None):
        return None
    found_range = Range(lower[0], opened == "[", upper, closed == "]", lower[1])
    return None if _is_contradiction(found_range) else found_range


def _is_contradiction(found: Range) -> bool:
    if found.lower is None or found.upper is None:
        return False
    return found.lower > found.upper or (
        found.lower == found.upper and found.lower_included != found.upper_included
    )


def _lower(text: str) -> tuple[SemverKey, Pattern | None] | None:
    """Returns the lower bound, and the pattern if there is a star in it."""
    if "*" not in text:
        return (sort_key(text), None) if is_valid(text) else None
    match = _STARS.fullmatch(text)
    if match is None:
        return None
    numbers, labels = match["numbers"], match["labels"]
    floats = numbers.endswith("*")
    lowest = numbers.replace("*", "0")
    if labels is not None:
        lowest += "-" + (f"{labels}0" if not labels or labels.endswith(".") else labels)
    if not is_valid(lowest):
        return None
    kept = tuple(int(number) for number in numbers.split(".") if number != "*")
    return (sort_key(lowest), Pattern(kept if floats else (*kept, 0, 0, 0)[:4], labels))
