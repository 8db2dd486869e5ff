"""Headers: what rpm knows of one package (rpm.org, "RPM V4 Package format", "Header"; read 2026-11).

A header in a database has no magic of its own: the number of its entries and the size of its data, both
big-endian, then the entries of 16 bytes, then the data that they point into.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Final

from services.rpmdb.faults import Damaged

NAME: Final = 1000
VERSION: Final = 1001
RELEASE: Final = 1002
EPOCH: Final = 1003
VENDOR: Final = 1011
ARCH: Final = 1022
SOURCE_RPM: Final = 1044
MODULARITY_LABEL: Final = 5096
_WANTED: Final = frozenset({NAME, VERSION, RELEASE, EPOCH, VENDOR, ARCH, SOURCE_RPM, MODULARITY_LABEL})

_DIR_INDEXES: Final = 1116
_BASE_NAMES: Final = 1117
_DIR_NAMES: Final = 1118
_FILES: Final = frozenset({_DIR_INDEXES, _BASE_NAMES, _DIR_NAMES})
_MAX_FILES: Final = 200_000
_MAX_NAMES: Final = 16 << 20
"""Bytes of all names. Of a package with more files the first are told; no real one comes near."""

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
    index, data = _parts(blob)
    found: dict[int, bytes | int] = {}
    for tag, kind, offset, _ in _ENTRY.iter_unpack(index):
        if tag in _WANTED and tag not in found:
            found[tag] = _value(data, tag, kind, offset)
    return found


def read_files(blob: bytes | memoryview) -> Iterator[tuple[bytes, Iterator[bytes]]]:
    """Yields each folder that the package has files in, as `/usr/lib/`, with their names: all there is to be had.

    What is not asked for its names costs next to nothing.

    Raises:
        Damaged: the counts go beyond the bytes.
    """
    index, data = _parts(blob)
    places = {tag: (offset, count) for tag, _, offset, count in _ENTRY.iter_unpack(index) if tag in _FILES}
    if places.keys() == _FILES:
        by_folder = cache(partial(_by_folder, data, places))
        for number, folder in enumerate(_texts(data, *places[_DIR_NAMES])):
            yield folder, _names_in(number, by_folder)


_Names = Mapping[int, Sequence[bytes]]


def _names_in(number: int, by_folder: Callable[[], _Names]) -> Iterator[bytes]:
    yield from by_folder().get(number, ())


def _by_folder(data: memoryview, places: Mapping[int, tuple[int, int]]) -> _Names:
    names: dict[int, list[bytes]] = {}
    offset, count = places[_DIR_INDEXES]
    numbers = data[offset : offset + 4 * min(count, _MAX_FILES)]
    folders = struct.iter_unpack(">I", numbers[: len(numbers) // 4 * 4])
    for (folder,), name in zip(folders, _texts(data, *places[_BASE_NAMES]), strict=False):
        names.setdefault(folder, []).append(name)
    return names


def _texts(data: memoryview, offset: int, count: int) -> Sequence[bytes]:
    """Returns several strings, each with its end behind it."""
    return bytes(data[offset : offset + _MAX_NAMES]).split(b"\0", min(count, _MAX_FILES))[:-1]


def _parts(blob: bytes | memoryview) -> tuple[memoryview, memoryview]:
    view = memoryview(blob)
    if len(view) < _PREFACE.size:
        raise Damaged("is too short for a header")
    entries, size = _PREFACE.unpack_from(view)
    start = _PREFACE.size + entries * _ENTRY.size
    if not 0 < entries <= _MAX_ENTRIES or size > _MAX_DATA or start + size > len(view):
        raise Damaged("is cut off or no header")
    return view[_PREFACE.size : start], view[start : start + size]


def _value(data: memoryview, tag: int, kind: int, offset: int) -> bytes | int:
    if kind in _TEXTS and tag != EPOCH:
        text = bytes(data[offset : offset + _MAX_TEXT])
        end = text.find(b"\0")
        if end >= 0:
            return text[:end]
    elif kind == _INT32 and tag == EPOCH and offset + 4 <= len(data):
        return int.from_bytes(data[offset : offset + 4])
    raise Damaged(f"has an entry, {tag}, that leads nowhere")
