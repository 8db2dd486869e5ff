"""npm's ranges (node-semver, README, "Ranges"; read strictly and without `includePrerelease`, as npm itself does).

A range is a choice (`||`) of sets of comparators. Hyphens, carets, tildes and x-ranges are first written out as
comparators, as text and in node-semver's order, because some odd ranges mean what they mean only by that order.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from services.kernel.versions.ranges import CACHED
from services.kernel.versions.semver import NPM_SPACE, RELEASED, SemverKey, parse_npm

_OPERATORS: Final[dict[str, Callable[[SemverKey, SemverKey], bool]]] = {
    "": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NOTHING: Final = "<0.0.0-0"

_NUMBER: Final = r"(?:0|[1-9][0-9]*)"
_IDENTIFIER: Final = rf"(?:[0-9]*[a-zA-Z-][a-zA-Z0-9-]*|{_NUMBER})"
_LOOSE_IDENTIFIER: Final = r"(?:[0-9]*[a-zA-Z-][a-zA-Z0-9-]*|[0-9]+)"
_X: Final = rf"({_NUMBER}|x|X|\*)"
_BUILD: Final = r"\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*"
_PARTIAL: Final = rf"{_X}(?:\.{_X}(?:\.{_X}(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?(?:{_BUILD})?)?)?"

_SPACES = re.compile(f"[{NPM_SPACE}]+")
_BUILDS = re.compile(_BUILD)
_HYPHEN = re.compile(rf"([v= ]*{_PARTIAL}) - ([v= ]*{_PARTIAL})")
_OPERATOR = re.compile(r"[<>]?[v= ]*+")
_LOOSE_OR_PARTIAL = re.compile(
    r"[0-9]+\.[0-9]+\.[0-9]+"
    rf"(?:-?{_LOOSE_IDENTIFIER}(?:\.{_LOOSE_IDENTIFIER})*)?(?:{_BUILD})?|{_PARTIAL}"
)
_GAP = re.compile(r" ?+[<>]?+=?+ ")
_TILDE_GAP = re.compile(r"~>? ")
_CARET_GAP = re.compile(r"\^ ")
_TILDE = re.compile(rf"~>?[v= ]*{_PARTIAL}")
_CARET = re.compile(rf"\^[v= ]*{_PARTIAL}")
_X_RANGE = re.compile(rf"([<>]?=?) *[v= ]*{_PARTIAL}")
_STAR = re.compile(r"[<>]?=? *\*")
_COMPARATOR = re.compile(r"([<>]?=?) *(v?[0-9].*)")


class Comparator(NamedTuple):
    """One bound."""

    sign: str
    version: SemverKey


_Set = tuple[Comparator, ...]


def satisfies(expression: str, version: str) -> bool:
    """Tells whether npm takes the version for the range.

    A prerelease is in the range only where a comparator names a prerelease of the same three numbers.
    """
    key = parse_npm(version)
    return key is not None and any(_holds(comparators, key) for comparators in _parse(expression))


def _holds(comparators: _Set, key: SemverKey) -> bool:
    if not all(_OPERATORS[sign](key, bound) for sign, bound in comparators):
        return False
    return key[2] == RELEASED or any(bound[2] != RELEASED and bound[1] == key[1] for _, bound in comparators)


@lru_cache(maxsize=CACHED)
def _parse(expression: str) -> tuple[_Set, ...]:
    """Returns the sets of a range; none where npm refuses it."""
    sets: list[_Set] = []
    for choice in _SPACES.sub(" ", expression.strip(NPM_SPACE)).split("||"):
        comparators = _comparators(choice.strip(" "))
        if comparators is None:
            return ()
        if not any(comparator == _comparator(_NOTHING) for comparator in comparators):
            sets.append(comparators)
    # To npm `* || 1.0.0-rc` is `*`, and no longer names a prerelease.
    return ((),) if () in sets else tuple(sets)


def _comparators(text: str) -> _Set | None:
    """Returns the comparators of one choice, no bounds for any version; None where one cannot be read."""
    text = _BUILDS.sub("", text)
    hyphen = _HYPHEN.fullmatch(text)
    text = _between(hyphen) if hyphen else text
    text = _CARET_GAP.sub("^", _TILDE_GAP.sub("~", _without_gaps(text)))
    written = " ".join(_STAR.sub("", _written_out(part).strip(" "), count=1) for part in text.split(" "))
    found: list[Comparator] = []
    for part in written.split(" "):
        if part in ("", ">=0.0.0"):
            continue
        comparator = _comparator(part)
        if comparator is None:
            return None
        found.append(comparator)
    return tuple(found)


@lru_cache(maxsize=CACHED)
def _comparator(text: str) -> Comparator | None:
    match = _COMPARATOR.fullmatch(text)
    version = parse_npm(match[2]) if match else None
    return Comparator(match[1], version) if match and version else None


def _without_gaps(text: str) -> str:
    """Joins operators and their versions: `> 1.2.3` is `>1.2.3`."""
    joined, copied, place = [], 0, 0
    while place < len(text):
        prefix = _OPERATOR.match(text, place)
        after = prefix.end() if prefix else place
        version = _LOOSE_OR_PARTIAL.match(text, after)
        if version is None:
            place = max(after, place + 1)
            continue
        gap = _GAP.match(text, place, after)
        if gap is not None:
            joined.append(text[copied : gap.end() - 1])
            copied = gap.end()
        place = version.end()
    return "".join((*joined, text[copied:]))


def _between(match: re.Match[str]) -> str:
    low, major, minor, patch, _, high, *upper = match.groups()
    if _is_x(major):
        start = ""
    elif _is_x(minor):
        start = f">={major}.0.0"
    else:
        start = f">={major}.{minor}.0" if _is_x(patch) else f">={low}"
    major, minor, patch, prerelease = upper
    if _is_x(major):
        end = ""
    elif _is_x(minor):
        end = f"<{int(major) + 1}.0.0-0"
    elif _is_x(patch):
        end = f"<{major}.{int(minor) + 1}.0-0"
    else:
        end = f"<={major}.{minor}.{patch}-{prerelease}" if prerelease else f"<={high}"
    return f"{start} {end}".strip(" ")


def _written_out(part: str) -> str:
    """Returns comparators for a caret, a tilde or an x-range."""
    for pattern, write in ((_CARET, _caret), (_TILDE, _tilde), (_X_RANGE, _x_range)):
        match = pattern.fullmatch(part)
        if match is not None:
            return write(match)
    return part


def _caret(match: re.Match[str]) -> str:
    major, minor, patch, prerelease = match.groups()
    if _is_x(major):
        return ""
    if _is_x(minor):
        return f">={major}.0.0 <{int(major) + 1}.0.0-0"
    if major != "0":
        end = f"{int(major) + 1}.0.0"
    elif minor != "0" or _is_x(patch):
        end = f"0.{int(minor) + 1}.0"
    else:
        end = f"0.0.{int(patch) + 1}"
    return f">={_lowest(major, minor, patch, prerelease)} <{end}-0"


def _tilde(match: re.Match[str]) -> str:
    major, minor, patch, prerelease = match.groups()
    if _is_x(major):
        return ""
    if _is_x(minor):
        return f">={major}.0.0 <{int(major) + 1}.0.0-0"
    return f">={_lowest(major, minor, patch, prerelease)} <{major}.{int(minor) + 1}.0-0"


def _lowest(major: str, minor: str, patch: str, prerelease: str | None) -> str:
    if _is_x(patch):
        return f"{major}.{minor}.0"
    return f"{major}.{minor}.{patch}" + (f"-{prerelease}" if prerelease else "")


def _x_range(match: re.Match[str]) -> str:
    sign, major, minor, patch, _ = match.groups()
    if (_is_x(major) and not _is_x(minor)) or (_is_x(minor) and patch and not _is_x(patch)):
        return match[0]
    if _is_x(major):
        return _NOTHING if sign in ("<", ">") else "*"
    if not _is_x(patch):
        return match[0]
    at_major = _is_x(minor)
    this = f"{major}.0.0" if at_major else f"{major}.{minor}.0"
    following = f"{int(major) + 1}.0.0" if at_major else f"{major}.{int(minor) + 1}.0"
    return {
        ">": f">={following}",
        ">=": f">={this}",
        "<": f"<{this}-0",
        "<=": f"<{following}-0",
    }.get(sign, f">={this} <{following}-0")


def _is_x(part: str | None) -> bool:
    return part in (None, "x", "X", "*")
