"""Who owns an entry of a tar archive, and who may do what with it.

Formats: POSIX.1-2024, pax, sections "ustar Interchange Format" and "pax Extended Header"; `SCHILY.xattr.` as star
writes it (star(5)) and every builder of images does.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from services.layers.numbers import read_number
from services.layers.pax import read_records

_KEYS: Final = frozenset((b"uid", b"gid", b"mtime"))
_XATTR: Final = b"SCHILY.xattr."
_LARGEST_ID: Final = (1 << 32) - 1
_LARGEST_TIME: Final = 1 << 40
_TIME: Final = re.compile(rb"(-?\d{1,19})(?:\.\d*)?")


class Owned(NamedTuple):
    """What a header, and the extended one before it, say of an entry besides its name and content."""

    mode: int
    """Permission bits with setuid, setgid and sticky."""
    uid: int
    gid: int
    mtime: int
    """Whole seconds since 1970, what is smaller cut off."""
    device: tuple[int, int]
    """Major and minor number; of no meaning for what is no device."""
    xattrs: tuple[tuple[bytes, bytes], ...]
    """Names and values, in the archive's order."""


def read_owned(header: bytes, extension: bytes) -> Owned:
    """Reads a header of 512 bytes and the records of the extended header before it, which win.

    Raises:
        ValueError: a number that no file can have; says which.
    """
    uid, gid = _id(header[108:116]), _id(header[116:124])
    mtime = read_number(header[136:148]) or 0  # one before 1970, which is no octal number, is of no interest
    xattrs: tuple[tuple[bytes, bytes], ...] = ()
    if extension:
        records = read_records(extension, _KEYS, _XATTR)
        uid = _told_id(records.pop(b"uid", b""), uid)
        gid = _told_id(records.pop(b"gid", b""), gid)
        mtime = _told_time(records.pop(b"mtime", b""), mtime)
        xattrs = tuple((key.removeprefix(_XATTR), value) for key, value in records.items())
    if not -_LARGEST_TIME <= mtime <= _LARGEST_TIME:
        raise ValueError("an impossible time")
    device = (read_number(header[329:337]) or 0, read_number(header[337:345]) or 0)
    return Owned((read_number(header[100:108]) or 0) & 0o7777, uid, gid, mtime, device, xattrs)


def _id(field: bytes) -> int:
    number = read_number(field) or 0
    if number > _LARGEST_ID:
        raise ValueError("an impossible owner")
    return number


def _told_id(text: bytes, otherwise: int) -> int:
    if not text:
        return otherwise
    if not (text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID):
        raise ValueError("an impossible owner")
    return int(text)


def _told_time(text: bytes, otherwise: int) -> int:
    if not text:
        return otherwise
    whole = _TIME.fullmatch(text)
    if whole is None:
        raise ValueError("an impossible time")
    return int(whole[1])
