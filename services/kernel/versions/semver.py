"""Semantic Versioning 2.0.0 (semver.org, section 11), read as leniently as versions are written.

A leading `v` or `=`, more or fewer than three numbers and a prerelease without its hyphen (`1.0.0alpha1`) have
their place in the order, but are no valid versions. Build metadata never counts.
"""

from __future__ import annotations

import re
from typing import Final

Identifier = tuple[int, int, str]
"""Rank of its kind, number, text: numbers before words, words before the end of a release."""
SemverKey = tuple[int, tuple[int, ...], tuple[Identifier, ...]]
"""0 for text that is no version at all, else 1; numbers without trailing zeros; prerelease."""

RELEASED: Final[tuple[Identifier, ...]] = ((2, 0, ""),)
"""The prerelease of a version that has none: after all others."""

_LENIENT = re.compile(
    r"[v=\s]*([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z.-]*)|([A-Za-z][0-9A-Za-z.-]*))?(?:\+.*)?\s*",
    re.DOTALL | re.IGNORECASE | re.ASCII,
)
_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD: Final = r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
_STRICT = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?{_BUILD}", re.ASCII
)
_NPM_LENGTH: Final = 256
NPM_SPACE: Final = (
    "\t\n\v\f\r \xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""What JavaScript takes for white space."""
_NPM_NUMBER: Final = 2**53 - 1
_CARGO_NUMBER: Final = 2**64 - 1


def sort_key(version: str) -> SemverKey:
    """Returns a key that sorts by precedence; text that is no version sorts below all versions."""
    match = _LENIENT.fullmatch(version)
    if match is None:
        return (0, (), ((1, 0, version),))
    numbers, hyphened, bare = match.groups()
    return (1, to_numbers(numbers), to_identifiers(hyphened or bare))


def parse(version: str, largest: int | None = None) -> SemverKey | None:
    """Returns the key of a version that keeps to the grammar, with numbers up to `largest`, else None."""
    match = _STRICT.fullmatch(version)
    if match is None:
        return None
    major, minor, patch, prerelease = match.groups()
    numbers = (int(major), int(minor), int(patch))
    if largest is not None and max(numbers) > largest:
        return None
    return (1, _trimmed(list(numbers)), to_identifiers(prerelease))


def parse_npm(version: str) -> SemverKey | None:
    """Returns the key of a version that node-semver takes (a `v` and blanks around it included), else None."""
    if len(version) > _NPM_LENGTH:
        return None
    return parse(version.strip(NPM_SPACE).removeprefix("v"), _NPM_NUMBER)


def parse_cargo(version: str) -> SemverKey | None:
    """Returns the key of a version that Cargo takes, else None."""
    return parse(version, _CARGO_NUMBER)


def is_valid(version: str) -> bool:
    """Tells whether the version follows the grammar; a leading `v` is usual and harmless."""
    return parse(version.removeprefix("v")) is not None


def is_valid_npm(version: str) -> bool:
    """Tells whether npm takes the version."""
    return parse_npm(version) is not None


def is_valid_cargo(version: str) -> bool:
    """Tells whether Cargo takes the version."""
    return parse_cargo(version) is not None


def to_numbers(text: str) -> tuple[int, ...]:
    """Returns the numbers between dots without trailing zeros: `1`, `1.0` and `1.0.0` are one."""
    return _trimmed([int(number) for number in text.split(".")])


def to_identifiers(text: str | None) -> tuple[Identifier, ...]:
    """Returns the identifiers of a prerelease; of none, what sorts after all."""
    if not text:
        return RELEASED
    return tuple(
        (0, int(part), "") if part.isdigit() and part.isascii() else (1, 0, part) for part in text.split(".")
    )


def _trimmed(numbers: list[int]) -> tuple[int, ...]:
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)
