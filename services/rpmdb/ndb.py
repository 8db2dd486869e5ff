"""`Packages.db`: rpm's own database since 4.14 (rpm's source, `lib/backend/ndb/rpmpkg.c`; read 2026-11).

Slots tell where the headers lie, in blocks of 16 bytes; each header stands between a head and a tail. All numbers
are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from services.rpmdb.faults import Damaged

MAGIC: Final = b"RpmP"

_PAGE: Final = 4096
_BLOCK: Final = 16
_HEADER: Final = 32
_SLOT_MAGIC: Final = b"Slot"
_HEAD_MAGIC: Final = b"BlbS"
_WORDS: Final = struct.Struct("<4sIII")
_VERSION: Final = 0


def blobs(content: bytes) -> Iterator[bytes | memoryview | Damaged]:
    """Yields the headers in the order of their slots, and what could not be read in its place.

    Raises:
        Damaged: no such file.
    """
    if len(content) < _HEADER or not content.startswith(MAGIC):
        raise Damaged("is no database of rpm")
    _, version, _, pages = _WORDS.unpack_from(content)
    if version != _VERSION:
        raise Damaged(f"has version {version}, which nobody knows")
    end = pages * _PAGE
    if not _HEADER < end <= len(content):
        raise Damaged("has more slots than bytes")
    view = memoryview(content)
    taken = 0
    for magic, number, block, _ in _WORDS.iter_unpack(view[_HEADER:end]):
        if magic != _SLOT_MAGIC:
            yield Damaged("is no slot")
        elif number:
            blob = _blob(view, number, block)
            # Headers cannot overlap, so together they are no longer than the file.
            taken += len(blob) if not isinstance(blob, Damaged) else 0
            if taken > len(content):
                yield Damaged("overlaps with others")
                return
            yield blob


def _blob(view: memoryview, number: int, block: int) -> memoryview | Damaged:
    start = block * _BLOCK
    if start + _BLOCK > len(view):
        return Damaged("lies beyond the end of the file")
    magic, said, _, length = _WORDS.unpack_from(view, start)
    if magic != _HEAD_MAGIC or said != number:
        return Damaged("is not where its slot says")
    begin = start + _BLOCK
    if begin + length > len(view):
        return Damaged("goes beyond the end of the file")
    return view[begin : begin + length]
