"""Names of tar entries, made comparable: one spelling for each path, whiteouts told from files.

Format: OCI image-spec, layer.md, sections "Whiteouts" and "Opaque Whiteout".
"""

from __future__ import annotations

import enum
import hashlib
from typing import Final, NamedTuple

_WHITEOUT: Final = b".wh."
_OPAQUE: Final = b".wh..wh..opq"
_RESERVED: Final = b".wh..wh."


class Meaning(enum.Enum):
    """What a name means for lower layers."""

    NONE = enum.auto()
    WHITEOUT = enum.auto()
    """The named path of lower layers is deleted."""
    OPAQUE = enum.auto()
    """Everything that lower layers have in the named directory is hidden."""
    RESERVED = enum.auto()
    """Bookkeeping of a storage driver: no file of the image."""


class Named(NamedTuple):
    """A whiteout's meaning and the path it speaks of."""

    meaning: Meaning
    path: bytes


def clean(raw: bytes) -> bytes | None:
    """Returns the path without leading and trailing slash, `.` and `..`; empty for the root.

    None when it leads out of the root: no part of the image lies there.
    """
    if raw[:2] == b"./":
        raw = raw[2:]
    if raw[:1] > b"/" and b"/." not in raw and b"//" not in raw:
        return raw.rstrip(b"/")  # nothing is to be taken out, as in nearly all names
    parts: list[bytes] = []
    for part in raw.split(b"/"):
        if part == b"..":
            if not parts:
                return None
            parts.pop()
        elif part not in (b"", b"."):
            parts.append(part)
    return b"/".join(parts)


def meaning_of(path: bytes) -> Named | None:
    """Tells what a cleaned path means; None for a whiteout of nothing, of its own directory or of the parent."""
    head, slash, name = path.rpartition(b"/")
    if not name.startswith(_WHITEOUT):
        return Named(Meaning.NONE, path)
    if name == _OPAQUE:
        return Named(Meaning.OPAQUE, head)
    if name.startswith(_RESERVED):
        return Named(Meaning.RESERVED, path)
    hidden = name.removeprefix(_WHITEOUT)
    if hidden in (b"", b".", b".."):
        return None
    return Named(Meaning.WHITEOUT, head + slash + hidden)


def to_text(path: bytes) -> str:
    r"""Decodes a path; bytes that are not UTF-8 become `\xNN`: surrogates can be neither stored nor sent."""
    return path.decode("utf-8", "backslashreplace")


def fingerprint(path: bytes) -> int:
    """Returns 64 bits of the path's BLAKE2b with the lowest bit cleared, for the caller's use."""
    return int.from_bytes(hashlib.blake2b(path, digest_size=8).digest(), "little") & ~1
