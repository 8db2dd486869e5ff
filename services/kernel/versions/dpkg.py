"""Debian's version order (deb-version(7), "Sorting algorithm")."""

from __future__ import annotations

import re
from typing import Final

DpkgKey = tuple[int, tuple[str | int, ...], tuple[str | int, ...]]
"""Epoch, upstream version, revision; text and numbers alternate, beginning and ending with text."""

_RUNS = re.compile(r"([^0-9]*)([0-9]*)")
_VALID = re.compile(r"(?:[0-9]{1,9}:)?[0-9][0-9A-Za-z.+~:-]*")

_END: Final = "\x01"
# A tilde sorts before the end of the text, letters before all the rest: as code points, 0 < end < letters < rest.
_ORDER: Final = {ord("~"): "\x00"} | {
    code: chr(code + 0x100) for code in range(128) if not chr(code).isalpha() and chr(code) != "~"
}


def sort_key(version: str) -> DpkgKey:
    """Returns a key that sorts as dpkg does; what dpkg refuses has a place too, so that the order is total."""
    text = version.strip()
    epoch, colon, rest = text.partition(":")
    if not colon or not epoch.isascii() or not epoch.isdigit():
        epoch, rest = "0", text
    upstream, dash, revision = rest.rpartition("-")
    if not dash:
        upstream, revision = rest, ""
    return (int(epoch), _runs(upstream), _runs(revision))


def is_valid(version: str) -> bool:
    """Tells whether dpkg takes the version without complaint."""
    return _VALID.fullmatch(version.strip()) is not None


def _runs(text: str) -> tuple[str | int, ...]:
    # findall always ends with an empty pair; an empty text keeps its own, because "" and "0" are the same.
    pairs = _RUNS.findall(text)
    key: list[str | int] = []
    for words, digits in pairs[:-1] or pairs:
        key.append(words.translate(_ORDER) + _END)
        key.append(int(digits or 0))
    key.append(_END)
    return tuple(key)
