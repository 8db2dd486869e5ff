"""Dart's version constraints (pub documentation, "Version constraints"; pub_semver, `VersionConstraint.parse`)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from services.kernel.versions.pub import PubKey, is_valid, sort_key
from services.kernel.versions.ranges import CACHED
from services.kernel.versions.semver import RELEASED

_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VERSION: Final = rf"[0-9]+\.[0-9]+\.[0-9]+(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?"
_CARET = re.compile(rf"\s*+\^\s*+({_VERSION})\s*+")
_PART = re.compile(rf"\s*+([<>]=?)?\s*+({_VERSION})")
_FIRST_PRERELEASE: Final = ((0, 0, ""),)


class Range(NamedTuple):
    """Versions without a gap; an end that is None is open."""

    lower: PubKey | None
    lower_included: bool
    upper: PubKey | None
    upper_included: bool


def satisfies(expression: str, version: str) -> bool:
    """Tells whether pub takes the version for the constraint."""
    wanted = _parse(expression)
    if wanted is None or not is_valid(version):
        return False
    key = sort_key(version)
    if wanted.lower is not None and (key < wanted.lower or (key == wanted.lower and not wanted.lower_included)):
        return False
    return wanted.upper is None or key < wanted.upper or (key == wanted.upper and wanted.upper_included)


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> Range | None:
    """Returns the one range that all parts have in common; None where pub refuses the constraint."""
    if expression.strip() == "any":
        return Range(None, False, None, False)
    caret = _CARET.fullmatch(expression)
    if caret is not None:
        return _compatible(caret[1]) if is_valid(caret[1]) else None
    found, place = Range(None, False, None, False), 0
    text = expression.strip()
    while place < len(text):
        part = _PART.match(text, place)
        if part is None or not is_valid(part[2]):
            return None
        found = _both(found, part[1] or "", sort_key(part[2]))
        place = part.end()
    return _without_prereleases_of_the_end(found) if found.lower or found.upper else None


def _compatible(version: str) -> Range:
    """From the version up to, and without, the first prerelease of the next breaking one."""
    key = sort_key(version)
    major, minor = (*key[1], 0, 0)[:2]
    upper = (1, (major + 1,) if major else (0, minor + 1), _FIRST_PRERELEASE, ())
    return Range(key, True, upper, False)


def _both(found: Range, sign: str, key: PubKey) -> Range:
    lower, lower_included, upper, upper_included = found
    if sign in ("", ">", ">="):
        included = sign != ">"
        if lower is None or key > lower:
            lower, lower_included = key, included
        elif key == lower:
            lower_included = lower_included and included
    if sign in ("", "<", "<="):
        included = sign != "<"
        if upper is None or key < upper:
            upper, upper_included = key, included
        elif key == upper:
            upper_included = upper_included and included
    return Range(lower, lower_included, upper, upper_included)


def _without_prereleases_of_the_end(found: Range) -> Range:
    """An end that is a release leaves its own prereleases out, unless the range begins with one of them."""
    lower, _, upper, upper_included = found
    if upper is None or upper_included or upper[2] != RELEASED or upper[3]:
        return found
    if lower is not None and (lower == upper or (lower[2] != RELEASED and lower[1] == upper[1])):
        return found
    return found._replace(upper=(1, upper[1], _FIRST_PRERELEASE, ()))
