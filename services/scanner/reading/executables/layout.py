"""Layout: where in an executable lies what, by the headers at its beginning.

Formats: System V ABI, "Program Header" and "Sections"; Microsoft, "PE Format", sections "COFF File Header",
"Optional Header" and "Section Table"; Apple, `mach-o/loader.h` and `mach-o/fat.h`.
"""

from __future__ import annotations

import dataclasses
import enum
import struct
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from services.scanner.reading.executables.interface import Section

ELF: Final = b"\x7fELF"
PE: Final = b"MZ"
_WIDE_MACH_O: Final = {b"\xcf\xfa\xed\xfe": "<", b"\xfe\xed\xfa\xcf": ">"}
_MACH_O: Final = {b"\xce\xfa\xed\xfe": "<", b"\xfe\xed\xfa\xce": ">"}
MACH_O: Final = (*_WIDE_MACH_O, *_MACH_O)
FAT: Final = b"\xca\xfe\xba\xbe\0\0\0"
"""Java classes begin so too; what follows is the count of architectures there, the version, 45 or more, here."""
MAX_ARCHITECTURES: Final = 32

_LOAD: Final = 1
_CODE, _CONSTANTS = 5, 4
"""Flags of a load: read and execute, read only."""
_PE_CODE: Final = 0x20
_SEGMENT, _WIDE_SEGMENT = 0x1, 0x19
_WIDE_PE: Final = 0x20B
_MAX_SECTIONS: Final = 4096
_MAX_PARTS: Final = 128
"""Loads, sections or commands; files have a dozen or two."""
END: Final = 1 << 64


class Kind(enum.IntFlag):
    """Whether a running program has in memory what lies somewhere in its file."""

    LOADED = 1
    UNLOADED = 2
    ANY = 3


class Place(NamedTuple):
    """A range of the file that may hold what somebody looks for: all but machine code."""

    start: int
    end: int
    kind: Kind


class Load(NamedTuple):
    """A range of the file as the running program has it in memory."""

    address: int
    start: int
    size: int


class SectionTable(NamedTuple):
    """Where an ELF has its sections' headers, which is mostly at its end."""

    start: int
    entry_bytes: int
    entries: int
    names: int
    """Which of the sections has their names."""
    wide: bool
    order: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What headers tell of an executable."""

    places: Sequence[Place]
    """Sorted, none overlaps another."""
    loads: Sequence[Load] = ()
    sections: Mapping[bytes, Section] = dataclasses.field(default_factory=dict)
    """By name, the first of a name; those of an ELF are in its table."""
    table: SectionTable | None = None


EVERYWHERE: Final = Layout(places=(Place(0, END, Kind.ANY),))


def layout_of(head: bytes) -> Layout:
    """Reads headers; what they do not tell may be anywhere."""
    try:
        if head[:4] == ELF:
            return _elf(head)
        if head[:2] == PE:
            return _pe(head)
        return _mach_o(head) if head[:4] in MACH_O else EVERYWHERE
    except (struct.error, IndexError, OverflowError):
        return EVERYWHERE  # the headers reach beyond what is there, or are none


def starts_of(head: bytes) -> Sequence[int]:
    """Returns where the executables of a file begin: one, or those of a fat Mach-O; sorted."""
    if head[: len(FAT)] != FAT:
        return (0,)
    count = head[len(FAT)]
    if count > MAX_ARCHITECTURES or len(head) < 8 + 20 * count:
        return (0,)
    return sorted({struct.unpack_from(">I", head, 16 + 20 * number)[0] for number in range(count)}) or (0,)


def names_in(table: bytes, names: bytes, layout: SectionTable) -> Iterator[tuple[bytes, Section]]:
    """Yields the sections of an ELF, by the bytes of their table and of their names."""
    for number in range(layout.entries):
        try:
            name, section = _section(table, number, layout)
        except struct.error:
            return
        end = names.find(b"\0", name)
        if 0 <= name < end:
            yield names[name:end], section


def names_section(table: bytes, layout: SectionTable) -> Section:
    """Returns where the names of an ELF's sections are; of size 0 where its table does not say."""
    try:
        return _section(table, layout.names, layout)[1]
    except struct.error:
        return Section(0, 0)


def _section(table: bytes, number: int, layout: SectionTable) -> tuple[int, Section]:
    # Name, type, flags, address, offset and size in the file
    form = struct.Struct(f"{layout.order}I20xQQ" if layout.wide else f"{layout.order}I12xII")
    name, start, size = form.unpack_from(table, number * layout.entry_bytes)
    return name, Section(start, size)


def _elf(head: bytes) -> Layout:
    """Leaves code out if the file has loads of constants: otherwise the linker laid these among the code."""
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    start, sections = struct.unpack_from(f"{order}QQ" if wide else f"{order}II", head, 32 if wide else 28)
    size, count, entry, entries, names = struct.unpack_from(f"{order}HHHHH", head, 54 if wide else 42)
    loads: list[tuple[int, Load]] = []
    for number in range(min(count, _MAX_PARTS)):
        at = start + number * size
        if wide:
            kind, flags, first, address, _, length = struct.unpack_from(f"{order}IIQQQQ", head, at)
        else:
            kind, first, address, _, length, _, flags = struct.unpack_from(f"{order}7I", head, at)
        if kind == _LOAD:
            loads.append((flags & 7, Load(address, first, length)))
    table = None
    if 0 < entries <= _MAX_SECTIONS and entry == (64 if wide else 40):
        table = SectionTable(sections, entry, entries, names, wide, order)
    if not loads or count > _MAX_PARTS:
        return dataclasses.replace(EVERYWHERE, table=table)
    apart = any(flags == _CONSTANTS for flags, _ in loads)
    return Layout(
        places=_places(
            [_range(each) for flags, each in loads if flags != _CODE or not apart],
            [_range(each) for _, each in loads],
        ),
        loads=[each for _, each in loads],
        table=table,
    )


def _pe(head: bytes) -> Layout:
    (header,) = struct.unpack_from("<I", head, 60)
    (count,) = struct.unpack_from("<H", head, header + 6)
    (optional,) = struct.unpack_from("<H", head, header + 20)
    (magic,) = struct.unpack_from("<H", head, header + 24)
    if count > _MAX_PARTS:
        return EVERYWHERE
    wide = magic == _WIDE_PE
    (base,) = struct.unpack_from("<Q" if wide else "<I", head, header + (48 if wide else 52))
    loads: list[Load] = []
    data: list[tuple[int, int]] = []
    sections: dict[bytes, Section] = {}
    for number in range(count):
        at = header + 24 + optional + number * 40
        name, _, address, size, start = struct.unpack_from("<8s4I", head, at)
        (flags,) = struct.unpack_from("<I", head, at + 36)
        loads.append(Load(base + address, start, size))
        sections.setdefault(name.rstrip(b"\0"), Section(start, size))
        if not flags & _PE_CODE:
            data.append((start, start + size))
    return Layout(places=_places(data, [_range(each) for each in loads]), loads=loads, sections=sections)


def _mach_o(head: bytes) -> Layout:
    """Everything may be anywhere: constants lie beside the code."""
    wide = head[:4] in _WIDE_MACH_O
    order = _WIDE_MACH_O[head[:4]] if wide else _MACH_O[head[:4]]
    (count,) = struct.unpack_from(f"{order}I", head, 16)
    segment = struct.Struct(f"{order}QQQQ8xI" if wide else f"{order}IIII8xI")
    section = struct.Struct(f"{order}16s16x8xQI" if wide else f"{order}16s16x4xII")
    loads: list[Load] = []
    sections: dict[bytes, Section] = {}
    at = 32 if wide else 28
    for _ in range(min(count, _MAX_PARTS)):
        command, length = struct.unpack_from(f"{order}II", head, at)
        if command in (_SEGMENT, _WIDE_SEGMENT):
            address, _, start, size, parts = segment.unpack_from(head, at + 24)
            loads.append(Load(address, start, size))
            for number in range(min(parts, _MAX_PARTS)):
                place = at + 24 + segment.size + 4 + number * (80 if wide else 68)
                name, size, start = section.unpack_from(head, place)
                sections.setdefault(name.rstrip(b"\0"), Section(start, size))
        if length < 8:
            break
        at += length
    return dataclasses.replace(EVERYWHERE, loads=loads, sections=sections)


def _range(load: Load) -> tuple[int, int]:
    return load.start, load.start + load.size


def _places(data: Sequence[tuple[int, int]], loaded: Sequence[tuple[int, int]]) -> Sequence[Place]:
    """Sorts out what is loaded and no code, and what is not loaded at all."""
    kept = [Place(start, end, Kind.LOADED) for start, end in _merged(data)]
    at = 0
    for start, end in _merged(loaded):
        if at < start:
            kept.append(Place(at, start, Kind.UNLOADED))
        at = end
    return sorted((*kept, Place(at, END, Kind.UNLOADED)))


def _merged(ranges: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Joins ranges that overlap: nothing is looked at twice, however often headers name it."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if start >= end:
            continue
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
