"""Go's order of module versions (golang.org/x/mod/semver, package documentation and `Compare`).

`v1` and `v1.2` stand for `v1.0.0` and `v1.2.0`; the `v` may be missing, because the Go vulnerability database and
OSV leave it out. What Go refuses sorts below all versions, as in Go.
"""

from __future__ import annotations

import re
from typing import Final

from services.kernel.versions.semver import SemverKey, to_identifiers, to_numbers

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER: Final = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = re.compile(
    rf"v?({_NUMBER}(?:\.{_NUMBER})?|{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-(?P<prerelease>{_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?)"
)
_NUMBERS = re.compile(r"[0-9.]*[0-9]")


def sort_key(version: str) -> SemverKey:
    """Returns a key that sorts as Go does; invalid versions, all equal to Go, sort by their text."""
    match = _VERSION.fullmatch(version)
    numbers = _NUMBERS.match(match[1]) if match else None
    if match is None or numbers is None:
        return (0, (), ((1, 0, version),))
    return (1, to_numbers(numbers[0]), to_identifiers(match["prerelease"]))


def is_valid(version: str) -> bool:
    """Tells whether Go takes the version, with its `v` or without."""
    return _VERSION.fullmatch(version) is not None
