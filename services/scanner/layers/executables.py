"""Searches executables for marks, in the pieces in which they pass, without holding one of them.

Formats: System V ABI, "Program Header"; Microsoft, "PE Format", sections "COFF File Header" and "Section Table";
Apple, `mach-o/loader.h` and `mach-o/fat.h`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from services.scanner.catalogers.interface import Mark

HEAD_BYTES: Final = 8
"""So many first bytes tell whether a file is an executable."""

_ELF: Final = b"\x7fELF"
_PE: Final = b"MZ"
_MACH_O: Final = (b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xfe\xed\xfa\xcf", b"\xfe\xed\xfa\xce")
_FAT: Final = b"\xca\xfe\xba\xbe\0\0\0"
"""Java classes begin so too; what follows is the count of architectures there, the version, 45 or more, here."""
_MAX_ARCHITECTURES: Final = 32
_FIRST: Final = frozenset(start[:1] for start in (_ELF, _PE, *_MACH_O, _FAT))

_LOAD: Final = 1
_CODE, _CONSTANTS = 5, 4
"""Flags of a load: read and execute, read only."""
_PE_CODE: Final = 0x20
_MAX_PARTS: Final = 128
"""Loads or sections; files have a dozen."""

_END: Final = 1 << 64

Range = tuple[int, int]


def is_executable(head: bytes) -> bool:
    """Tells by its first HEAD_BYTES whether a file is an ELF, a PE or a Mach-O."""
    if head[:1] not in _FIRST:
        return False
    start = head[:4]
    return (
        start == _ELF
        or start in _MACH_O
        or head[:2] == _PE
        or (head[:7] == _FAT and head[7:8] < bytes((_MAX_ARCHITECTURES,)))
    )


def find_marks(pieces: Iterable[memoryview], marks: Sequence[Mark], *, whole: bool = False) -> list[Mark]:
    """Returns the marks that are in the file, wherever the borders of its pieces fall.

    A mark is looked for only where it can be, if the first piece tells where that is: machine code, which is most
    of a program, has none. No piece is kept; what is left when all marks are found is not asked for.

    Args:
        pieces: the file, in order; each is looked at before the next one is asked for.
        marks: what to look for; none is empty.
        whole: whether to look everywhere, because the offsets in the file's headers do not hold.
    """
    missing = list(marks)
    reach = max(len(mark.text) for mark in marks) - 1
    layout = _EVERYWHERE if whole else None
    at, tail = 0, b""
    for piece in pieces:
        if layout is None:
            layout = _layout(piece)
        seam = tail + bytes(piece[:reach])
        end = at + len(piece)
        for mark in tuple(missing):
            places = layout.data if mark.loaded else layout.unloaded
            parts = (bytes(piece[max(a, at) - at : min(z, end) - at]) for a, z in places if a < end and z > at)
            if mark.text in seam or any(mark.text in part for part in parts):
                missing.remove(mark)
        if not missing:
            break
        tail = (tail + bytes(piece[-reach:]))[-reach:]
        at = end
    return [mark for mark in marks if mark not in missing]


class _Layout(NamedTuple):
    data: Sequence[Range]
    """Where what a program has loaded lies, but for code."""
    unloaded: Sequence[Range]
    """Where nothing is loaded from."""


_EVERYWHERE: Final = _Layout(((0, _END),), ((0, _END),))


def _layout(head: memoryview) -> _Layout:
    """Reads headers; what they do not tell may be anywhere."""
    start = bytes(head[:4])
    try:
        if start == _ELF:
            return _elf_layout(head)
        return _pe_layout(head) if start[:2] == _PE else _EVERYWHERE
    except (struct.error, IndexError, OverflowError):
        return _EVERYWHERE  # the headers reach beyond the first piece, or are none


def _elf_layout(head: memoryview) -> _Layout:
    """Leaves code out if the file has loads of constants: otherwise the linker laid these among the code."""
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (table,) = struct.unpack_from(f"{order}Q" if wide else f"{order}I", head, 32 if wide else 28)
    size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    # Type, flags, offset and size in the file
    form = struct.Struct(f"{order}IIQ16xQ" if wide else f"{order}II8xI4xI")
    loads: list[tuple[int, Range]] = []
    for number in range(min(count, _MAX_PARTS)):
        fields = form.unpack_from(head, table + number * size)
        kind, flags, start, length = fields if wide else (fields[0], fields[3], fields[1], fields[2])
        if kind == _LOAD:
            loads.append((flags & 7, (start, start + length)))
    if not loads or count > _MAX_PARTS:
        return _EVERYWHERE
    apart = any(flags == _CONSTANTS for flags, _ in loads)
    return _Layout(
        data=[each for flags, each in loads if flags != _CODE or not apart],
        unloaded=list(_between([each for _, each in loads])),
    )


def _pe_layout(head: memoryview) -> _Layout:
    (header,) = struct.unpack_from("<I", head, 60)
    (count,) = struct.unpack_from("<H", head, header + 6)
    (optional,) = struct.unpack_from("<H", head, header + 20)
    if count > _MAX_PARTS:
        return _EVERYWHERE
    sections: list[Range] = []
    data: list[Range] = []
    for number in range(count):
        at = header + 24 + optional + number * 40
        length, start = struct.unpack_from("<II", head, at + 16)
        (flags,) = struct.unpack_from("<I", head, at + 36)
        sections.append((start, start + length))
        if not flags & _PE_CODE:
            data.append(sections[-1])
    return _Layout(data=data, unloaded=list(_between(sections)))


def _between(ranges: Sequence[Range]) -> Iterator[Range]:
    """Yields what the ranges leave uncovered."""
    at = 0
    for start, end in sorted(ranges):
        if at < start:
            yield at, start
        at = max(at, end)
    yield at, _END
