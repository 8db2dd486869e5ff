"""Python's version specifiers (PEP 440, "Version specifiers"), as pip judges an installed version."""

from __future__ import annotations

from functools import lru_cache

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from services.kernel.versions.pep440 import is_valid
from services.kernel.versions.ranges import CACHED


def satisfies(expression: str, version: str) -> bool:
    """Tells whether the version meets all specifiers; a prerelease only where one of them names a prerelease."""
    specifiers = _parse(expression)
    return specifiers is not None and is_valid(version) and specifiers.contains(version)


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(expression)
    except (InvalidSpecifier, ValueError):  # ValueError: more digits than Python turns into a number
        return None
