"""Dart's version order (pub_semver, `Version.compareTo`): Semantic Versioning 2.0.0-rc.1, where builds count."""

from __future__ import annotations

import re
from typing import Final

from services.kernel.versions.semver import RELEASED, Identifier, to_numbers

PubKey = tuple[int, tuple[int, ...], tuple[Identifier, ...], tuple[Identifier, ...]]
"""0 for text that is no version at all, else 1; numbers; prerelease; build, none before any."""

_LENIENT = re.compile(
    r"[vV=\s]*(?P<numbers>[0-9]+(?:\.[0-9]+)*)(?:-(?P<prerelease>[0-9A-Za-z.-]*))?(?:\+(?P<build>[0-9A-Za-z.-]*))?\s*"
)
_IDENTIFIERS: Final = r"[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_VALID = re.compile(rf"[0-9]+\.[0-9]+\.[0-9]+(?:-{_IDENTIFIERS})?(?:\+{_IDENTIFIERS})?")
# Dart's int.tryParse also reads signs and hexadecimal digits, up to 64 bits.
_NUMBER = re.compile(r"-?(?:[0-9]+|0[xX][0-9A-Fa-f]+)")
_LARGEST: Final = 2**63 - 1


def sort_key(version: str) -> PubKey:
    """Returns a key that sorts as pub does; text that is no version sorts below all versions."""
    match = _LENIENT.fullmatch(version)
    if match is None:
        return (0, (), (), ((1, 0, version),))
    prerelease = to_identifiers(match["prerelease"])
    return (1, to_numbers(match["numbers"]), prerelease or RELEASED, to_identifiers(match["build"]))


def is_valid(version: str) -> bool:
    """Tells whether pub takes the version."""
    match = _VALID.fullmatch(version)
    return match is not None and max(map(int, re.split(r"[-+]", version, maxsplit=1)[0].split("."))) <= _LARGEST


def to_identifiers(text: str | None) -> tuple[Identifier, ...]:
    """Returns the identifiers of a prerelease or a build; none of no text."""
    return tuple(_identifier(part) for part in text.split(".")) if text else ()


def _identifier(part: str) -> Identifier:
    if _NUMBER.fullmatch(part):
        number = int(part, 16 if "x" in part.lower() else 10)
        if -_LARGEST - 1 <= number <= _LARGEST:
            return (0, number, "")
    return (1, 0, part)
