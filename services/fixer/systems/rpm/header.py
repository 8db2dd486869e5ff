"""A header with all of its entries, and the form in which rpm's database keeps it.

Format: rpm.org, "RPM V4 Package format", "Header"; what installing adds: rpm 4.18, `lib/header.c` (`doExport`).
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Sequence
from typing import Final

from services.rpmdb.faults import Damaged

MAGIC: Final = b"\x8e\xad\xe8\x01\0\0\0\0"
REGION: Final = 63
"""The entry of what was signed: it comes first, and nothing that is added later belongs to it."""

CHAR: Final = 1
INT16: Final = 3
INT32: Final = 4
INT64: Final = 5
STRING: Final = 6
BINARY: Final = 7
STRINGS: Final = 8
_WIDTHS: Final = {0: 1, CHAR: 1, 2: 1, INT16: 2, INT32: 4, INT64: 8, BINARY: 1}
_TEXTS: Final = frozenset({STRING, STRINGS, 9})
_LETTERS: Final = {CHAR: "B", 2: "B", INT16: "H", INT32: "I", INT64: "Q"}

_ENCODING: Final = sys.getfilesystemencoding()
_ERRORS: Final = sys.getfilesystemencodeerrors()
_PREFACE: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">IIII")
_MAX_ENTRIES: Final = 0xFFFF
_MAX_DATA: Final = 64 << 20
"""rpm takes four times as much; the largest of a distribution, a kernel's, has 5 MB."""


class Header:
    """The entries of one header, read when they are asked for; of a tag that comes twice the first one counts."""

    def __init__(self, blob: bytes) -> None:
        """Takes a header without its magic; what is behind it does not matter.

        Raises:
            Damaged: its counts go beyond its bytes, or an entry does.
        """
        if len(blob) < _PREFACE.size:
            raise Damaged("is too short for a header")
        entries, size = _PREFACE.unpack_from(blob)
        start = _PREFACE.size + entries * _ENTRY.size
        if not 0 < entries <= _MAX_ENTRIES or size > _MAX_DATA or start + size > len(blob):
            raise Damaged("is cut off or no header")
        self._index = blob[_PREFACE.size : start]
        self._data = blob[start : start + size]
        self._entries: dict[int, tuple[int, int, int]] = {}
        for tag, kind, offset, count in _ENTRY.iter_unpack(self._index):
            if offset >= max(size, 1) or count > size:
                raise Damaged(f"has an entry, {tag}, that leads nowhere")
            self._entries.setdefault(tag, (kind, offset, count))
        self.length = start + size

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    @property
    def tags(self) -> Sequence[int]:
        """All tags that it has."""
        return tuple(self._entries)

    def kind(self, tag: int) -> int:
        """Returns the type of an entry that is there."""
        return self._entries[tag][0]

    def texts(self, tag: int) -> tuple[str, ...]:
        """Returns its strings, by `os.fsdecode`; none where it has no such entry.

        Raises:
            Damaged: the entry is of another type, or cut off.
        """
        if tag not in self._entries:
            return ()
        kind, offset, count = self._entries[tag]
        if kind not in _TEXTS:
            raise Damaged(f"has an entry, {tag}, of another type")
        parts = self._data[offset:].split(b"\0", count) if count > 1 else [*self._first(offset), b""]
        if len(parts) <= count:
            raise Damaged(f"has an entry, {tag}, that is cut off")
        # As `os.fsdecode`, which takes ten times as long: a package may have many thousands.
        return tuple([part.decode(_ENCODING, _ERRORS) for part in parts[:-1]])

    def _first(self, offset: int) -> list[bytes]:
        end = self._data.find(b"\0", offset)
        return [self._data[offset:end]] if end >= 0 else []

    def text(self, tag: int) -> str:
        """Returns its first string; empty where it has none."""
        texts = self.texts(tag)
        return texts[0] if texts else ""

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Returns its numbers, without signs; none where it has no such entry.

        Raises:
            Damaged: as `texts`.
        """
        if tag not in self._entries:
            return ()
        kind, offset, count = self._entries[tag]
        width = _WIDTHS.get(kind, 0)
        if kind not in _LETTERS or offset + width * count > len(self._data):
            raise Damaged(f"has an entry, {tag}, of another type or cut off")
        return struct.unpack_from(f">{count}{_LETTERS[kind]}", self._data, offset)

    def number(self, tag: int, otherwise: int = 0) -> int:
        """Returns its first number."""
        numbers = self.numbers(tag)
        return numbers[0] if numbers else otherwise

    def raw(self, tag: int) -> bytes:
        """Returns the bytes of an entry; none where it has no such entry.

        Raises:
            Damaged: as `texts`.
        """
        if tag not in self._entries:
            return b""
        kind, offset, count = self._entries[tag]
        if kind in _TEXTS:
            return b"".join(os.fsencode(text) + b"\0" for text in self.texts(tag))
        end = offset + _WIDTHS.get(kind, 0) * count
        if kind not in _WIDTHS or end > len(self._data):
            raise Damaged(f"has an entry, {tag}, of another type or cut off")
        return self._data[offset:end]

    def count(self, tag: int) -> int:
        """Returns how many values an entry that is there has."""
        return self._entries[tag][2]

    def with_more(self, added: Sequence[tuple[int, int, int, bytes]]) -> bytes:
        """Returns the header with more entries behind its region: tag, type, count, bytes in their order.

        Raises:
            Damaged: it has no region, as packages of rpm 3 have none, or has one of the tags already.
        """
        if REGION not in self._entries or self._index[:4] != REGION.to_bytes(4):
            raise Damaged("is of a form from before rpm 4")
        index, data = bytearray(self._index), bytearray(self._data)
        for tag, kind, count, content in sorted(added):
            if tag in self._entries:
                raise Damaged(f"has an entry, {tag}, that only installing makes")
            data += b"\0" * (-len(data) % (_WIDTHS[kind] if kind in _LETTERS else 1))
            index += _ENTRY.pack(tag, kind, len(data), count)
            data += content
        return _PREFACE.pack(len(index) // _ENTRY.size, len(data)) + bytes(index) + bytes(data)
