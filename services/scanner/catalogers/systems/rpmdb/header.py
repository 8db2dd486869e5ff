"""Headers: what rpm knows of one package (rpm.org, "RPM V4 Package format", "Header"; read 2026-11).

A header in a database has no magic of its own: the number of its entries and the size of its data, both
big-endian, then the entries of 16 bytes, then the data that they point into.
"""

from __future__ import annotations

import struct
from typing import Final

from services.scanner.catalogers.systems.rpmdb.faults import Damaged

NAME: Final = 1000
VERSION: Final = 1001
RELEASE: Final = 1002
EPOCH: Final = 1003
VENDOR: Final = 1011
ARCH: Final = 1022
SOURCE_RPM: Final = 1044
MODULARITY_LABEL: Final = 5096
_WANTED: Final = frozenset({NAME, VERSION, RELEASE, EPOCH, VENDOR, ARCH, SOURCE_RPM, MODULARITY_LABEL})

_INT32: Final = 4
_TEXTS: Final = frozenset({6, 8, 9})
"""One string, several, and one in several languages: of the latter two the first is read."""
_PREFACE: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">IIII")
_MAX_ENTRIES: Final = 0xFFFF
_MAX_DATA: Final = 0x0FFF_FFFF
"""Both are rpm's own."""
_MAX_TEXT: Final = 4096


def read_header(blob: bytes | memoryview) -> dict[int, bytes | int]:
    """Returns the wanted tags that are there, texts without their end; the first one of a tag counts.

    Raises:
        Damaged: the counts go beyond the bytes, or a wanted entry does.
    """
    view = memoryview(blob)
    if len(view) < _PREFACE.size:
        raise Damaged("is too short for a header")
    entries, size = _PREFACE.unpack_from(view)
    start = _PREFACE.size + entries * _ENTRY.size
    if not 0 < entries <= _MAX_ENTRIES or size > _MAX_DATA or start + size > len(view):
        raise Damaged("is cut off or no header")
    data = view[start : start + size]
    found: dict[int, bytes | int] = {}
    for tag, kind, offset, _ in _ENTRY.iter_unpack(view[_PREFACE.size : start]):
        if tag in _WANTED and tag not in found:
            found[tag] = _value(data, tag, kind, offset)
    return found


def _value(data: memoryview, tag: int, kind: int, offset: int) -> bytes | int:
    if kind in _TEXTS and tag != EPOCH:
        text = bytes(data[offset : offset + _MAX_TEXT])
        end = text.find(b"\0")
        if end >= 0:
            return text[:end]
    elif kind == _INT32 and tag == EPOCH and offset + 4 <= len(data):
        return int.from_bytes(data[offset : offset + 4])
    raise Damaged(f"has an entry, {tag}, that leads nowhere")
