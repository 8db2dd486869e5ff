"""Cargo's requirements (The Cargo Book, "Specifying Dependencies"; the semver crate, `VersionReq`)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from services.kernel.versions.ranges import CACHED
from services.kernel.versions.semver import RELEASED, Identifier, parse_cargo, to_identifiers

_MAX_COMPARATORS: Final = 32
_LARGEST: Final = 2**64 - 1

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_COMPARATOR = re.compile(
    rf" *+(?P<sign>[<>]=?|[=~^])? *+(?P<major>{_NUMBER})"
    rf"(?:\.(?P<minor>{_NUMBER})(?:\.(?:(?P<patch>{_NUMBER})(?:-(?P<pre>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?|(?P<star>[*xX])))?|(?P<stars>\.[*xX](?:\.[*xX])?))? *+"
)
_ANY = re.compile(r" *[*xX] *")

_Numbers = tuple[int, ...]
_Prerelease = tuple[Identifier, ...]


class Comparator(NamedTuple):
    """One bound, of one to three numbers."""

    sign: str
    numbers: _Numbers
    prerelease: _Prerelease


def satisfies(expression: str, version: str) -> bool:
    """Tells whether Cargo takes the version for the requirement.

    A prerelease is in it only where a comparator names a prerelease of the same three numbers.
    """
    key = parse_cargo(version)
    comparators = _parse(expression)
    if key is None or comparators is None:
        return False
    numbers, prerelease = (*key[1], 0, 0, 0)[:3], key[2]
    if not all(_holds(comparator, numbers, prerelease) for comparator in comparators):
        return False
    return prerelease == RELEASED or any(
        comparator.prerelease != RELEASED and comparator.numbers == numbers for comparator in comparators
    )


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> tuple[Comparator, ...] | None:
    """Returns the comparators, none for any version; None where Cargo refuses the requirement."""
    if _ANY.fullmatch(expression):
        return ()
    found: list[Comparator] = []
    for text in expression.split(",", _MAX_COMPARATORS):
        match = _COMPARATOR.fullmatch(text)
        if match is None or len(found) == _MAX_COMPARATORS:
            return None
        numbers = tuple(int(part) for part in match.group("major", "minor", "patch") if part is not None)
        if max(numbers) > _LARGEST:
            return None
        wild = match["star"] or match["stars"]
        found.append(Comparator(match["sign"] or ("=" if wild else "^"), numbers, to_identifiers(match["pre"])))
    return tuple(found)


def _holds(comparator: Comparator, numbers: _Numbers, prerelease: _Prerelease) -> bool:
    """Compares only as many numbers as the comparator has."""
    sign, wanted, _ = comparator
    here = (numbers[: len(wanted)], prerelease)
    bound = (wanted, comparator.prerelease)
    if sign == "=":
        return here == bound
    if sign == "~":
        return numbers[:2][: len(wanted)] == wanted[:2] and here >= bound
    if sign == "^":
        kept = _kept(wanted)
        after = here >= bound if len(wanted) == 3 else here[0] >= wanted
        return numbers[:kept] == wanted[:kept] and after
    if sign in (">", ">="):
        after = here > bound if len(wanted) == 3 or here[0] != wanted else False
        return after or (sign == ">=" and here == bound)
    before = here < bound if len(wanted) == 3 or here[0] != wanted else False
    return before or (sign == "<=" and here == bound)


def _kept(wanted: _Numbers) -> int:
    """How many numbers a caret keeps: up to the first that is not 0, if there is one."""
    return next((place + 1 for place, number in enumerate(wanted) if number), len(wanted))
