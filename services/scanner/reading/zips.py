"""Zip archives in memory, read within bounds by the list at their end, as Java and Go read them.

Format: PKWARE, APPNOTE.TXT 6.3.10, sections 4.3 and 4.5.3 (Zip64). The list and the entries may disagree and lie:
what counts is the list, and of sizes what comes out.
"""

from __future__ import annotations

import bz2
import struct
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

_END: Final = b"PK\5\6"
_END_BYTES: Final = 22
_MAX_COMMENT: Final = 65_535
_WIDE_LOCATOR: Final = b"PK\6\7"
_WIDE_END: Final = b"PK\6\6"
_LISTED: Final = b"PK\1\2"
_LISTED_BYTES: Final = 46
_ENTRY: Final = b"PK\3\4"
_ENTRY_BYTES: Final = 30
_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
"""LZMA is left out: its header tells how much memory is taken."""
_ENCRYPTED: Final = 1
_WIDE: Final = 0xFFFFFFFF
_WIDE_FIELD: Final = 1


class Entry(NamedTuple):
    """A file of an archive, as the list has it."""

    name: bytes
    flags: int
    method: int
    packed: int
    size: int
    """As the archive says: a guess."""
    start: int
    """Where it begins, header and all."""


class Budget:
    """What reading one file may cost, with everything that is packed in it."""

    def __init__(self, *, entries: int, bytes_: int) -> None:
        """Starts with all of it."""
        self.entries = entries
        self.bytes = bytes_


class ZipBroken(Exception):
    """Says what is wrong, as the end of a sentence that began with the archive or the entry."""


class Zip:
    """One archive; what is before it, as the script of an archive that starts itself, is stepped over."""

    def __init__(self, content: memoryview) -> None:
        """Finds the list.

        Raises:
            ZipBroken: there is none.
        """
        self._content = content
        self._base, self._list, self._list_bytes = _find_list(content)

    def entries(self, budget: Budget) -> Iterator[Entry]:
        """Yields the entries; what cannot be read of the list ends it.

        Raises:
            ZipBroken: there are too many, or the list is cut off.
        """
        at, end = self._list, self._list + self._list_bytes
        while at < end:
            if not _starts(self._content, at, _LISTED) or at + _LISTED_BYTES > end:
                raise ZipBroken("has a broken list of files")
            if budget.entries <= 0:
                raise ZipBroken("has, with the archives in it, more files than are looked at")
            budget.entries -= 1
            fields = struct.unpack_from("<HHHIIIIHHHHHII", self._content, at + 4 + 2)
            flags, method = fields[1], fields[2]
            packed, size, name, extra, comment, start = (
                fields[5],
                fields[6],
                fields[7],
                fields[8],
                fields[9],
                fields[13],
            )
            at += _LISTED_BYTES
            if _WIDE in (packed, size, start):
                field = bytes(self._content[at + name : at + name + extra])
                size, packed, start = _widened(field, size, packed, start)
            yield Entry(bytes(self._content[at : at + name]), flags, method, packed, size, start)
            at += name + extra + comment

    def read(self, entry: Entry, limit: int, budget: Budget) -> memoryview:
        """Returns what an entry holds.

        Raises:
            ZipBroken: that is more than `limit` bytes or than the budget has, encrypted, packed in a way that is
                not known, or damaged.
        """
        packed = self._packed(entry)
        most = min(limit, budget.bytes)
        if entry.method == _STORED:
            if len(packed) > most:
                raise ZipBroken(f"is {len(packed)} bytes, more than are read")
            budget.bytes -= len(packed)
            return packed
        if entry.method not in (_DEFLATED, _BZIP2):
            raise ZipBroken(f"is packed by method {entry.method}, which is not known")
        unpacking = zlib.decompressobj(-zlib.MAX_WBITS) if entry.method == _DEFLATED else bz2.BZ2Decompressor()
        try:
            content = unpacking.decompress(packed, most + 1)
        except (zlib.error, OSError) as error:
            raise ZipBroken("is damaged") from error
        budget.bytes -= min(len(content), most)
        if len(content) > most:
            raise ZipBroken(f"unpacks to more than {most} bytes, which are not read")
        if not unpacking.eof:
            raise ZipBroken("is cut off")
        return memoryview(content)

    def _packed(self, entry: Entry) -> memoryview:
        if entry.flags & _ENCRYPTED:
            raise ZipBroken("is encrypted")
        at = self._base + entry.start
        if not _starts(self._content, at, _ENTRY) or at + _ENTRY_BYTES > len(self._content):
            raise ZipBroken("is not where the list has it")
        name, extra = struct.unpack_from("<HH", self._content, at + 26)
        first = at + _ENTRY_BYTES + name + extra
        packed = self._content[first : first + entry.packed]
        if len(packed) < entry.packed:
            raise ZipBroken("is cut off")
        return packed


def _find_list(content: memoryview) -> tuple[int, int, int]:
    """Returns where offsets count from, and where the list begins and how long it is."""
    first = max(0, len(content) - _END_BYTES - _MAX_COMMENT)
    tail = bytes(content[first:])
    at = tail.rfind(_END)
    while at >= 0:
        if len(tail) >= at + _END_BYTES:
            size, start = struct.unpack_from("<II", tail, at + 12)
            end = first + at
            if _WIDE in (size, start) or tail[at + 10 : at + 12] == b"\xff\xff":
                end, size, start = _wide_end(content, end) or (end, size, start)
            base = end - size - start
            for offset in (base, 0):  # what was put before an archive may count in its offsets or not
                place = offset + start
                if offset >= 0 and place + size <= end and (not size or _starts(content, place, _LISTED)):
                    return offset, place, size
        at = tail.rfind(_END, 0, at)
    raise ZipBroken("is no zip archive")


def _wide_end(content: memoryview, end: int) -> tuple[int, int, int] | None:
    """Returns where Zip64's own end record is, and what it says of the list's size and place."""
    locator = end - 20
    if locator < 0 or not _starts(content, locator, _WIDE_LOCATOR):
        return None
    (told,) = struct.unpack_from("<Q", content, locator + 8)
    for at in (told, locator - 56):
        if 0 <= at <= locator - 56 and _starts(content, at, _WIDE_END):
            size, start = struct.unpack_from("<QQ", content, at + 40)
            return at, size, start
    return None


def _widened(extra: bytes, size: int, packed: int, start: int) -> tuple[int, int, int]:
    """Takes sizes that have no room in the list out of Zip64's field."""
    values = [size, packed, start]
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        if kind == _WIDE_FIELD:
            place = at + 4
            for number, value in enumerate(values):
                if value == _WIDE and place + 8 <= min(at + 4 + length, len(extra)):
                    (values[number],) = struct.unpack_from("<Q", extra, place)
                    place += 8
            break
        at += 4 + length
    return values[0], values[1], values[2]


def _starts(content: memoryview, at: int, signature: bytes) -> bool:
    return bytes(content[at : at + len(signature)]) == signature
