"""Version order by scheme: which of two versions is the newer one, as the packaging system itself decides it.

Every scheme is a file with two pure functions: `sort_key`, total over all strings, and `is_valid`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

from services.kernel.errors import invalid
from services.kernel.versions import apk, dpkg, pep440

_T = TypeVar("_T")

SCHEMES: Final = ("apk", "dpkg", "pep440")
"""The schemes that can be compared."""

MAX_LENGTH: Final = 4096
"""Characters of a version that take part in comparing; no real one comes near, and hostile ones stay cheap."""

_KEYS: Final[dict[str, Callable[[str], Any]]] = {
    "apk": apk.sort_key,
    "dpkg": dpkg.sort_key,
    "pep440": pep440.sort_key,
}
_VALID: Final[dict[str, Callable[[str], bool]]] = {
    "apk": apk.is_valid,
    "dpkg": dpkg.is_valid,
    "pep440": pep440.is_valid,
}


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
    return _of(_KEYS, scheme)(version[:MAX_LENGTH])


@lru_cache(maxsize=8_192)
def is_valid(scheme: str, version: str) -> bool:
    """Tells whether the scheme's own tool would take the version; others sort too, but their place is a guess.

    Raises:
        ServiceError: UNKNOWN_VERSION_SCHEME.
    """
    return len(version) <= MAX_LENGTH and _of(_VALID, scheme)(version)


def _of(table: dict[str, _T], scheme: str) -> _T:
    found = table.get(scheme)
    if found is None:
        raise invalid(
            "UNKNOWN_VERSION_SCHEME",
            f"{scheme[:40]!r} is no version scheme that can be compared.",
            field="scheme",
            hint=f"Known are {', '.join(SCHEMES)}.",
        )
    return found
