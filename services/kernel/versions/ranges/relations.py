"""Relations of a version (`>= 1.2`), where nothing more is known: dpkg, rpm, apk, Go and plain SemVer.

Several relations, separated by commas, must all hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from services.kernel.versions import apk, dpkg, go, rpm, semver
from services.kernel.versions.ranges import CACHED

Holds = Callable[[Any, Any], bool]
"""Compares the key of a version with that of a bound."""

_RELATION = re.compile(r"\s*+([<>=~!]*+)\s*+([^\s<>=~!,][^\s,]*+)\s*+")

_PLAIN: Final[Mapping[str, Holds]] = {
    "": operator.eq,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_DPKG: Final[Mapping[str, Holds]] = {
    "=": operator.eq,
    "<<": operator.lt,
    "<=": operator.le,
    ">>": operator.gt,
    ">=": operator.ge,
    # Obsolete (Debian Policy 7.1): they mean what <= and >= mean.
    "<": operator.le,
    ">": operator.ge,
}


def _unreleased(holds: Holds) -> Holds:
    """A relation without a release speaks of all releases; a version without one may be any of them."""

    def _holds(key: rpm.RpmKey, bound: rpm.RpmKey) -> bool:
        if rpm.NO_RELEASE not in (key[2], bound[2]):
            return holds(key, bound)
        return holds(key[:2], bound[:2]) or (key[:2] == bound[:2] and bound[2] != rpm.NO_RELEASE)

    return _holds


def _is_under(key: apk.ApkKey, bound: apk.ApkKey) -> bool:
    """The relation `~` of apk: the version begins with the bound (apk-world(5))."""
    return key[: len(bound) - 1] == bound[:-1]


_RPM: Final[Mapping[str, Holds]] = {
    sign: _unreleased(holds) for sign, holds in _PLAIN.items() if sign not in ("", "!=")
}
_APK: Final[Mapping[str, Holds]] = {
    **{sign: holds for sign, holds in _PLAIN.items() if sign not in ("", "==", "!=")},
    **dict.fromkeys(("~", "=~", "~="), _is_under),
    "<~": lambda key, bound: key < bound or _is_under(key, bound),
    ">~": lambda key, bound: key > bound or _is_under(key, bound),
}


class Relations:
    """The relations of one scheme."""

    def __init__(self, sort_key: Callable[[str], Any], signs: Mapping[str, Holds]) -> None:
        self._sort_key = sort_key
        self._signs = signs
        self._parsed = lru_cache(maxsize=CACHED)(self._parse)

    def satisfies(self, expression: str, version: str) -> bool:
        """Tells whether all relations hold for the version."""
        relations = self._parsed(expression)
        key = self._sort_key(version)
        return bool(relations) and all(holds(key, bound) for holds, bound in relations)

    def _parse(self, expression: str) -> tuple[tuple[Holds, Any], ...]:
        """Returns the relations; none where one cannot be read."""
        found = []
        for text in expression.split(","):
            match = _RELATION.fullmatch(text)
            if match is None or match[1] not in self._signs:
                return ()
            found.append((self._signs[match[1]], self._sort_key(match[2])))
        return tuple(found)


APK: Final = Relations(apk.sort_key, _APK)
DPKG: Final = Relations(dpkg.sort_key, _DPKG)
GO: Final = Relations(go.sort_key, _PLAIN)
RPM: Final = Relations(rpm.sort_key, _RPM)
SEMVER: Final = Relations(semver.sort_key, _PLAIN)
