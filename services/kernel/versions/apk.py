"""Alpine's version order (apk-package(5), "pkgver"; what invalid versions do follows apk-tools 2.10 to 2.14).

Grammar: `number{.number}[letter]{_suffix[number]}[~hash][-r[number]]`. Also read, because Alpine shipped it and
2.x compares it: further letters and numbers after the first letter (`6.0.2p1`).
"""

from __future__ import annotations

import re
from typing import Final

ApkToken = tuple[int, int, str]
"""Rank of its kind, number, text."""
ApkKey = tuple[ApkToken, ...]

# Where two versions stop agreeing, the one whose next token has the higher rank is the newer one.
_PRE_SUFFIX: Final = 0
_BROKEN: Final = 1
_END: Final = 2
_REVISION: Final = 3
_HASH: Final = 4
_SUFFIX_NUMBER: Final = 5
_POST_SUFFIX: Final = 6
_LETTER: Final = 7
_NUMBER: Final = 8

_SUFFIXES: Final = {
    **{word: (_PRE_SUFFIX, place) for place, word in enumerate(("alpha", "beta", "pre", "rc"))},
    **{word: (_POST_SUFFIX, place) for place, word in enumerate(("cvs", "svn", "git", "hg", "p"))},
}
_VERSION = re.compile(
    r"(?P<numbers>[0-9]*(?:\.[0-9]*)*)(?P<letters>(?:[a-z][0-9]*)*)(?P<suffixes>(?:_[a-z]+[0-9]*)*)"
    r"(?P<hash>~[0-9a-f]+)?(?P<revision>-r(?:[0-9]+|(?=-|\Z)))?"
)
_LETTERS = re.compile(r"([a-z])([0-9]*)")
_SUFFIX = re.compile(r"_([a-z]+)([0-9]*)")
_VALID = re.compile(
    r"[0-9]+(?:\.[0-9]+)*(?:[a-z][0-9]*)?(?:_(?:alpha|beta|pre|rc|cvs|svn|git|hg|p)[0-9]*)*(?:~[0-9a-f]+)?(?:-r[0-9]+)?"
)


def sort_key(version: str) -> ApkKey:
    """Returns a key that sorts as apk does; total: a version is compared up to its first broken token."""
    match = _VERSION.match(version)
    if match is None:  # the expression matches the empty text: never the case
        return ((_BROKEN, 0, ""),)
    key = _numbers(match["numbers"])
    key += [
        token
        for letter, digits in _LETTERS.findall(match["letters"])
        for token in ((_LETTER, 0, letter), *(((_NUMBER, int(digits), ""),) if digits else ()))
    ]
    for word, digits in _SUFFIX.findall(match["suffixes"]):
        if word not in _SUFFIXES:
            return (*key, (_BROKEN, 0, ""))
        rank, place = _SUFFIXES[word]
        key.append((rank, place, ""))
        if digits:
            key.append((_SUFFIX_NUMBER, int(digits), ""))
    if match["hash"]:
        key.append((_HASH, 0, match["hash"]))
    if match["revision"]:
        key.append((_REVISION, int(match["revision"][2:] or 0), ""))
    return (*key, (_END if match.end() == len(version) else _BROKEN, 0, ""))


def is_valid(version: str) -> bool:
    """Tells whether apk takes the version."""
    return _VALID.fullmatch(version) is not None


def _numbers(text: str) -> list[ApkToken]:
    """The first number counts; a later one with a leading zero is a fraction: it sorts as text, below others."""
    first, *rest = text.split(".")
    key: list[ApkToken] = [(_NUMBER, int(first or 0), "")]
    for digits in rest:
        if not digits:
            key.append((_BROKEN, 0, ""))
        elif digits[0] == "0":
            key.append((_NUMBER, -1, digits))
        else:
            key.append((_NUMBER, int(digits), ""))
    return key
