"""Versions by scheme: which of two is newer and which lie in a range, as the packaging system itself decides it.

Every scheme is a file with two pure functions, `sort_key`, total over all strings, and `is_valid`; its ranges are
a file in `ranges/`. A new scheme is one line in `_SCHEMES` and one there. `docs/versions.md` tells where the rules
come from.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from services.kernel.errors import invalid
from services.kernel.versions import apk, dpkg, gem, go, maven, nuget, packagist, pep440, pub, rpm, semver


class _Scheme(NamedTuple):
    sort_key: Callable[[str], Any]
    is_valid: Callable[[str], bool]


_SCHEMES: Final[dict[str, _Scheme]] = {
    "apk": _Scheme(apk.sort_key, apk.is_valid),
    "cargo": _Scheme(semver.sort_key, semver.is_valid_cargo),
    "dpkg": _Scheme(dpkg.sort_key, dpkg.is_valid),
    "gem": _Scheme(gem.sort_key, gem.is_valid),
    "go": _Scheme(go.sort_key, go.is_valid),
    "maven": _Scheme(maven.sort_key, maven.is_valid),
    "npm": _Scheme(semver.sort_key, semver.is_valid_npm),
    "nuget": _Scheme(nuget.sort_key, nuget.is_valid),
    "packagist": _Scheme(packagist.sort_key, packagist.is_valid),
    "pep440": _Scheme(pep440.sort_key, pep440.is_valid),
    "pub": _Scheme(pub.sort_key, pub.is_valid),
    "rpm": _Scheme(rpm.sort_key, rpm.is_valid),
    "semver": _Scheme(semver.sort_key, semver.is_valid),
}

SCHEMES: Final = tuple(_SCHEMES)
"""The schemes that can be compared."""

MAX_LENGTH: Final = 4096
"""Characters of a version that take part in comparing; no real one comes near, and hostile ones stay cheap."""


def compare(scheme: str, a: str, b: str) -> int:
    """Returns -1, 0 or 1 as `a` is older than, equal to or newer than `b`.

    Raises:
        ServiceError: UNKNOWN_VERSION_SCHEME.
    """
    key_a, key_b = sort_key(scheme, a), sort_key(scheme, b)
    if key_a == key_b:
        return 0
    return -1 if key_a < key_b else 1


@lru_cache(maxsize=32_768)
def sort_key(scheme: str, version: str) -> Any:
    """Returns a value that sorts as the version does; keys of different schemes must not be mixed.

    Raises:
        ServiceError: UNKNOWN_VERSION_SCHEME.
    """
    return _of(scheme).sort_key(version[:MAX_LENGTH])


@lru_cache(maxsize=8_192)
def is_valid(scheme: str, version: str) -> bool:
    """Tells whether the scheme's own tool would take the version; others sort too, but their place is a guess.

    Raises:
        ServiceError: UNKNOWN_VERSION_SCHEME.
    """
    return len(version) <= MAX_LENGTH and _of(scheme).is_valid(version)


@lru_cache(maxsize=32_768)
def satisfies(scheme: str, expression: str, version: str) -> bool:
    """Tells whether the version lies in the range, as the scheme's own tool judges a requirement.

    A version or a range that the tool refuses, or that is longer than `MAX_LENGTH`, satisfies nothing.

    Raises:
        ServiceError: UNKNOWN_VERSION_SCHEME.
    """
    from services.kernel.versions.ranges.grammars import GRAMMARS  # noqa: PLC0415 - a scan compares, and asks no range

    _of(scheme)
    if len(expression) > MAX_LENGTH or len(version) > MAX_LENGTH:
        return False
    return GRAMMARS[scheme](expression, version)


def _of(scheme: str) -> _Scheme:
    found = _SCHEMES.get(scheme)
    if found is None:
        raise invalid(
            "UNKNOWN_VERSION_SCHEME",
            f"{scheme[:40]!r} is no version scheme that can be compared.",
            field="scheme",
            hint=f"Known are {', '.join(SCHEMES)}.",
        )
    return found
