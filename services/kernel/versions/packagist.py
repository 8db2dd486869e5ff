"""Composer's version order (composer/semver, `VersionParser::normalize`, and PHP's `version_compare`).

What Composer would not normalise is compared as PHP does, without its leading `v`.
"""

from __future__ import annotations

import re
from typing import Final

PhpToken = tuple[int, int]
"""Rank of its kind, number."""

# Where two versions stop agreeing, the one whose next token has the higher rank is the newer one.
_UNKNOWN: Final = 0
_NUMBER: Final = 5
_END: Final[PhpToken] = (_NUMBER, -1)
_WILDCARD: Final[PhpToken] = (_NUMBER, -2)
# Found at the start of a word, in this order: PHP takes `preview` for a `p`, a patch.
_FORMS: Final = (("dev", 1), ("a", 2), ("b", 3), ("rc", 4), ("p", 6))

MODIFIER: Final = r"[._-]?(?:(stable|beta|b|rc|alpha|a|patch|pl|p)((?:[.-]?[0-9]++)*)?)?([.-]?dev)?"
"""A stability: its word, its number, a `dev`."""
_STABILITIES: Final = r"stable|rc|beta|alpha|dev"
_EXPANDED: Final = {"a": "alpha", "b": "beta", "p": "patch", "pl": "patch", "rc": "RC"}

_ALIAS = re.compile(r"([^,\s]+) +as +([^,\s]+)")
_FLAG = re.compile(rf"@(?:{_STABILITIES})\Z", re.IGNORECASE | re.ASCII)
_BUILD = re.compile(r"([^,\s+]+)\+\S+")
_CLASSIC = re.compile(rf"v?([0-9]{{1,5}})(\.[0-9]++)?(\.[0-9]++)?(\.[0-9]++)?{MODIFIER}", re.IGNORECASE | re.ASCII)
_DATE = re.compile(
    rf"v?([0-9]{{4}}(?:[.:-]?[0-9]{{2}}){{1,6}}(?:[.:-]?[0-9]{{1,3}})?){MODIFIER}", re.IGNORECASE | re.ASCII
)
_BRANCH = re.compile(
    r"v?([0-9]+)(\.(?:[0-9]+|[x*]))?(\.(?:[0-9]+|[x*]))?(\.(?:[0-9]+|[x*]))?", re.IGNORECASE | re.ASCII
)
_DEV = re.compile(r"(.*?)[.-]?dev", re.IGNORECASE)
_PARTS = re.compile(r"[0-9]+|[a-z]+|#", re.IGNORECASE | re.ASCII)


class Wildcard:
    """The key of a version with a `#` in it: PHP's sign for any number, or for none, at its place.

    Such a version equals versions that are not equal to each other; Composer refuses it.
    """

    __slots__ = ("_tokens",)

    def __init__(self, tokens: tuple[PhpToken, ...]) -> None:
        self._tokens = tokens

    def __eq__(self, other: object) -> bool:
        return self._compare(other) == 0

    def __lt__(self, other: object) -> bool:
        return self._compare(other) < 0

    def __gt__(self, other: object) -> bool:
        return self._compare(other) > 0

    def __hash__(self) -> int:
        return 0

    def _compare(self, other: object) -> int:
        mine, theirs = self._tokens, other._tokens if isinstance(other, Wildcard) else other
        if not isinstance(theirs, tuple):
            return 1
        for one, two in zip(mine, theirs, strict=False):
            if _WILDCARD in (one, two) and one[0] == two[0] == _NUMBER:
                continue
            if one != two:
                return -1 if one < two else 1
        if len(mine) == len(theirs):
            return 0
        longer, sign = (mine, 1) if len(mine) > len(theirs) else (theirs, -1)
        following = longer[min(len(mine), len(theirs))]
        return 0 if following in (_END, _WILDCARD) else sign if following > _END else -sign


PhpKey = tuple[PhpToken, ...] | Wildcard


def sort_key(version: str) -> PhpKey:
    """Returns a key that sorts as Composer does; total, but for versions with a `#` (see `Wildcard`)."""
    text = normalize(version)
    return php_key(version.strip().removeprefix("v").removeprefix("V") if text is None else text)


def is_valid(version: str) -> bool:
    """Tells whether Composer takes the version."""
    return normalize(version) is not None


def normalize(version: str) -> str | None:
    """Returns the version as Composer compares it, four numbers and a stability; None where it is refused."""
    text = version.strip()
    alias = _ALIAS.fullmatch(text)
    text = alias[1] if alias else text
    text = _FLAG.sub("", text)
    if text in ("master", "trunk", "default"):
        return f"dev-{text}"
    if text[:4].lower() == "dev-":
        return f"dev-{text[4:]}"
    build = _BUILD.fullmatch(text)
    text = build[1] if build else text
    if (match := _CLASSIC.fullmatch(text)) is not None:
        return match[1] + "".join(match[place] or ".0" for place in (2, 3, 4)) + _stability(match, 5)
    if (match := _DATE.fullmatch(text)) is not None:
        return re.sub(r"[^0-9]", ".", match[1]) + _stability(match, 2)
    if (match := _DEV.fullmatch(text)) is not None:
        branch = normalize_branch(match[1])
        return None if branch.startswith("dev-") else branch
    return None


def normalize_branch(name: str) -> str:
    """Returns a numeric branch (`1.x`) as the last of its versions, another one as `dev-…`."""
    match = _BRANCH.fullmatch(name.strip())
    if match is None:
        return f"dev-{name}"
    text = "".join(part or ".x" for part in match.groups()).lower().replace("*", "x")
    return text.replace("x", "9999999") + "-dev"


def php_key(text: str) -> PhpKey:
    """Returns a key that sorts as PHP's version_compare does, without regard to case."""
    key: list[PhpToken] = []
    for part in _PARTS.findall(text):
        key.append(_WILDCARD if part == "#" else (_NUMBER, int(part)) if part[0] <= "9" else _form(part.lower()))
    key.append(_END)
    return Wildcard(tuple(key)) if _WILDCARD in key else tuple(key)


def _form(word: str) -> PhpToken:
    return next(((rank, 0) for form, rank in _FORMS if word.startswith(form)), (_UNKNOWN, 0))


def _stability(match: re.Match[str], group: int) -> str:
    word, number, dev = (match[group] or "").lower(), match[group + 1] or "", match[group + 2]
    if word == "stable":
        return ""
    stability = f"-{_EXPANDED.get(word, word)}{number.lstrip('.-')}" if word else ""
    return stability + ("-dev" if dev else "")
