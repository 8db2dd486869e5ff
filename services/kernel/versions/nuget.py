"""NuGet's version order (NuGet.Versioning, `VersionComparer.Default`): four numbers, labels in any case."""

from __future__ import annotations

import re
from typing import Final

from services.kernel.versions.semver import RELEASED, Identifier, SemverKey, to_numbers

_LENIENT = re.compile(r"\s*+[vV]?([0-9]+(?:\.[0-9]+)*)(?:-([0-9A-Za-z.-]*))?(?:\+[^\n]*+)?\s*+")
_LABEL: Final = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VALID = re.compile(
    rf"\s*(?P<numbers>[0-9]+(?:\.[0-9]+){{0,3}})(?:-{_LABEL}(?:\.{_LABEL})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?\s*"
)
# Labels that do not fit .NET's int compare as text, also those with a sign.
_NUMBER = re.compile(r"-?[0-9]+")
_LARGEST: Final = 2**31 - 1


def sort_key(version: str) -> SemverKey:
    """Returns a key that sorts as NuGet does; text that is no version sorts below all versions."""
    match = _LENIENT.fullmatch(version)
    if match is None:
        return (0, (), ((1, 0, version),))
    labels = match[2]
    return (1, to_numbers(match[1]), tuple(map(_label, labels.split("."))) if labels else RELEASED)


def is_valid(version: str) -> bool:
    """Tells whether NuGet takes the version."""
    match = _VALID.fullmatch(version)
    return match is not None and all(int(number) <= _LARGEST for number in match["numbers"].split("."))


def _label(text: str) -> Identifier:
    if _NUMBER.fullmatch(text) and -_LARGEST - 1 <= int(text) <= _LARGEST:
        return (0, int(text), "")
    return (1, 0, text.upper())
