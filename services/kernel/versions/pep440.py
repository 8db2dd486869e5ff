"""Python's version order (PEP 440), and an order for the versions from before it (PEP 386-era setuptools)."""

from __future__ import annotations

import re
from typing import Final

from packaging.version import InvalidVersion, Version

LegacyPart = tuple[int, int, str]
Pep440Key = tuple[int, tuple[LegacyPart, ...] | Version]
"""0 and the parts of a legacy version, or 1 and a valid one: legacy versions sort below all valid ones."""

_PART = re.compile(r"[0-9]+|[a-z]+|-")
# Old metadata carries white space and its escapes at the end of versions; no index ever served it differently.
# Matched backwards, from the end: once, not again from each blank in between.
_TRAILING = re.compile(r"(?:\s++|[fnrtv]\\)*")
_WORDS: Final = {"pre": "c", "preview": "c", "rc": "c", "dev": "@", "-": "final-"}
_FINAL: Final = (0, 0, "final")


def sort_key(version: str) -> Pep440Key:
    """Returns a key that sorts as pip does; total, as versions that pip refuses sort below all others."""
    backwards = version[::-1]
    trailing = _TRAILING.match(backwards)
    text = version[: len(version) - trailing.end()] if trailing else version
    try:
        return (1, Version(text))
    except (InvalidVersion, ValueError):  # ValueError: more digits than Python turns into a number
        return (0, _legacy(text))


def is_valid(version: str) -> bool:
    """Tells whether the version follows PEP 440."""
    try:
        Version(version)
    except (InvalidVersion, ValueError):
        return False
    return True


def _legacy(text: str) -> tuple[LegacyPart, ...]:
    """Splits into numbers and words; a word sorts before a number, `dev` first, the end between words."""
    parts: list[LegacyPart] = []
    for part in _PART.findall(text.lower()):
        if part[0].isdigit():
            parts.append((1, int(part), ""))
        else:
            parts.append((0, 0, _WORDS.get(part, part)))
    while parts and parts[-1] == (1, 0, ""):
        parts.pop()
    return (*parts, _FINAL)
