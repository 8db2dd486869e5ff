"""Maven's version order (POM Reference, "Version Order Specification", and `ComparableVersion` of Maven 3.6).

A version is a list of numbers and words; a hyphen, or a change between digits and letters, opens one within it.
Maven compares a missing part as what changes nothing (0, or the word of a release), so parts that change nothing
have no place of their own: a run of zeros stands where the part after it takes the version. That makes the order
total where Maven's own runs in circles (`1 < 1-foo < 1.0.alpha < 1`).
"""

from __future__ import annotations

import re
from typing import Final

MavenToken = tuple[int, int, str]
"""Rank of its kind, number, text."""
MavenKey = tuple[MavenToken, ...]

# Where two versions stop agreeing, the one whose next token has the higher rank is the newer one.
_EARLY_WORD: Final = 0
_EARLY_LIST: Final[MavenToken] = (1, 0, "")
_NOTHING_AND_EARLY: Final = 2
_END: Final[MavenToken] = (3, 0, "")
_RELEASE_AND_LATE: Final[MavenToken] = (4, 0, "")
_LATE_WORD: Final = 5
_LATE_LIST: Final[MavenToken] = (6, 0, "")
_ZEROS_AND_LATE_WORD: Final = 7
_ZEROS_AND_NUMBER: Final = 8
_NUMBER: Final = 9

_WORDS: Final = {"alpha": 0, "beta": 1, "milestone": 2, "rc": 3, "cr": 3, "snapshot": 4, "sp": 6}
_ABBREVIATIONS: Final = {"a": "alpha", "b": "beta", "m": "milestone"}
_RELEASE: Final = frozenset({"", "final", "ga", "release"})
_UNKNOWN: Final = 7

# A part and the separator that ends it.
_PARTS = re.compile(r"(?:([0-9]+)|([^0-9.-]*))([.-]|\Z|(?=[0-9])|(?<=[0-9]))")
_OPEN: Final = "-"
Item = int | str


def sort_key(version: str) -> MavenKey:
    """Returns a key that sorts as Maven does; total over all text."""
    return _encode(_normalized(_items(version.lower())))


def is_valid(version: str) -> bool:
    """Tells whether the version can be one: Maven takes all text, but a repository has no path for some."""
    return bool(version) and re.search(r'[\\/:"<>|?*\[\](),\s\x00-\x1f${}]', version) is None


def _items(version: str) -> list[Item]:
    """Splits into numbers, words and hyphens, each of which opens the list that holds all the rest."""
    items: list[Item] = []
    for match in _PARTS.finditer(version):
        digits, word, separator = match.groups()
        at_end = match.end() == len(version)
        if digits:
            items.append(int(digits))
        elif word:
            before_digit = not separator and not at_end
            items.append(_ABBREVIATIONS.get(word, word) if before_digit else word)
        elif separator:
            items.append(0)
        if separator == "." or (not separator and at_end):
            continue
        # "1-ga-1" is "1-1" (POM Reference): the word of a release opens no list of its own.
        if word in _RELEASE and word and items[-2:-1] == [_OPEN]:
            items.pop()
        else:
            items.append(_OPEN)
    return items


def _normalized(items: list[Item]) -> list[Item]:
    """Drops what changes nothing at the end of the version, and before each list."""
    kept: list[Item] = []
    for item in [*items, _OPEN]:
        if item == _OPEN:
            while kept and kept[-1] != _OPEN and _is_null(kept[-1]):
                kept.pop()
        kept.append(item)
    while kept and (kept[-1] == _OPEN or _is_null(kept[-1])):
        kept.pop()
    return kept


def _is_null(item: Item) -> bool:
    return item == 0 if isinstance(item, int) else item in _RELEASE


def _encode(items: list[Item]) -> MavenKey:
    """Walks from the end, because what changes nothing, and a list, stand where the part after them stands."""
    key: list[MavenToken] = [_END]
    zeros = 0
    for item in reversed(items):
        if item == 0:
            zeros += 1
            continue
        if zeros:
            key.append(_zeros(zeros, key[-1]))
            zeros = 0
        key.append(_token(item, early=key[-1] < _END))
    if zeros:
        key.append(_zeros(zeros, key[-1]))
    return tuple(reversed(key))


def _token(item: Item, *, early: bool) -> MavenToken:
    if isinstance(item, int):
        return (_NUMBER, item, "")
    if item == _OPEN:
        return _EARLY_LIST if early else _LATE_LIST
    if item in _RELEASE:
        return (_NOTHING_AND_EARLY, 0, "") if early else _RELEASE_AND_LATE
    place = _WORDS.get(item, _UNKNOWN)
    return (_EARLY_WORD if place < _WORDS["sp"] else _LATE_WORD, place, item if place == _UNKNOWN else "")


def _zeros(count: int, following: MavenToken) -> MavenToken:
    if following < _END:
        return (_NOTHING_AND_EARLY, count, "")
    return (_ZEROS_AND_NUMBER, -count, "") if following[0] == _NUMBER else (_ZEROS_AND_LATE_WORD, count, "")
