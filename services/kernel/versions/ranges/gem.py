"""RubyGems' requirements (`Gem::Requirement`; RubyGems Guides, "Patterns", "Declaring dependencies")."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from services.kernel.versions.gem import GemKey, canonical, encode, is_valid, sort_key, to_segments
from services.kernel.versions.ranges import CACHED

_OPERATORS: Final[dict[str, Callable[[GemKey, GemKey], bool]]] = {
    "=": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "~>": operator.ge,
}
_REQUIREMENT = re.compile(r"(=|!=|>=|<=|~>|>|<)?\s*+([0-9].*)", re.DOTALL)


class Requirement(NamedTuple):
    """One bound; `before` is what a `~>` ends at."""

    sign: str
    version: GemKey
    before: GemKey | None


def satisfies(expression: str, version: str) -> bool:
    """Tells whether RubyGems takes the version for the requirements, separated by commas."""
    requirements = _parse(expression)
    if requirements is None or not is_valid(version):
        return False
    key = sort_key(version)
    for sign, bound, before in requirements:
        if not _OPERATORS[sign](key, bound):
            return False
        if before is not None and _encoded(_release(to_segments(version))) >= before:
            return False
    return True


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> tuple[Requirement, ...] | None:
    """Returns the requirements; none, which all versions meet, of an empty text; None where one is refused."""
    if not expression.strip():
        return ()
    found: list[Requirement] = []
    for text in expression.split(","):
        match = _REQUIREMENT.fullmatch(text.strip())
        if match is None or not is_valid(match[2]):
            return None
        sign, version = match[1] or "=", match[2]
        before = _encoded(_bumped(to_segments(version))) if sign == "~>" else None
        found.append(Requirement(sign, sort_key(version), before))
    return tuple(found)


def _release(segments: list[int | str]) -> list[int | str]:
    """Returns a prerelease's release: what stands before its first word."""
    word = next((place for place, segment in enumerate(segments) if isinstance(segment, str)), len(segments))
    return segments[:word]


def _bumped(segments: list[int | str]) -> list[int | str]:
    """Returns where `~>` ends: the last number of the release dropped, and the one before it raised."""
    numbers = _release(segments)
    if len(numbers) > 1:
        numbers.pop()
    last = numbers[-1]
    return [*numbers[:-1], last + 1 if isinstance(last, int) else last]


def _encoded(segments: list[int | str]) -> GemKey:
    return encode(canonical(segments))
