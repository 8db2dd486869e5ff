"""RPM's version order (rpm-version(7); `rpmvercmp` and `rpmVersionCompare` of rpm 4.15 and later)."""

from __future__ import annotations

import re
from typing import Final

RpmToken = tuple[int, int, str]
"""Rank of its kind, number, text."""
RpmText = tuple[RpmToken, ...]
RpmKey = tuple[int, RpmText, RpmText]
"""Epoch, version, release."""

# Where two texts stop agreeing, the one whose next token has the higher rank is the newer one.
_TILDE: Final[RpmToken] = (0, 0, "")
_END: Final[RpmToken] = (1, 0, "")
_CARET: Final[RpmToken] = (2, 0, "")
_WORD: Final = 3
_NUMBER: Final = 4
NO_RELEASE: Final[RpmText] = ()
"""The release of a version that has none: before all others, an empty one included."""

_TOKENS = re.compile(r"[0-9]+|[A-Za-z]+|[~^]")
_EPOCH = re.compile(r"([0-9]*):")
_VALID = re.compile(r"(?:[0-9]{1,9}:)?[0-9A-Za-z._+~^]+(?:-[0-9A-Za-z._+~^]+)?")


def sort_key(version: str) -> RpmKey:
    """Returns a key that sorts as rpm does; total, since all other characters only separate.

    Neither a version nor a release may hold a dash: of a text with more than one, no dash tells where the release
    begins, and it is compared whole, as `rpmvercmp` does.
    """
    match = _EPOCH.match(version)
    epoch, rest = (int(match[1] or 0), version[match.end() :]) if match else (0, version)
    upstream, dash, release = rest.partition("-")
    if not dash or "-" in release:
        return (epoch, _text(rest), NO_RELEASE)
    return (epoch, _text(upstream), _text(release))


def is_valid(version: str) -> bool:
    """Tells whether rpm builds packages of the version."""
    return _VALID.fullmatch(version) is not None


def _text(text: str) -> RpmText:
    return (*map(_token, _TOKENS.findall(text)), _END)


def _token(text: str) -> RpmToken:
    if text == "~":
        return _TILDE
    if text == "^":
        return _CARET
    return (_NUMBER, int(text), "") if text[0] <= "9" else (_WORD, 0, text)
