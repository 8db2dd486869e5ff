"""Searches executables for marks and follows these, in the pieces in which a file passes: decision 0019."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from services.scanner.reading.executables.interface import Follow, Mark, Section
from services.scanner.reading.executables.layout import (
    ELF,
    EVERYWHERE,
    FAT,
    MACH_O,
    MAX_ARCHITECTURES,
    PE,
    Kind,
    Layout,
    layout_of,
    names_in,
    names_section,
    starts_of,
)

HEAD_BYTES: Final = 8
"""So many first bytes tell whether a file is an executable."""

_FIRST: Final = frozenset(start[:1] for start in (ELF, PE, *MACH_O, FAT))
_HEADERS_BYTES: Final = 4096
"""Where headers that tell of code end: those of real files, which link a few dozen parts at most."""
_HEAD_BYTES: Final = 64 << 10
_HELD_BYTES: Final = 32 << 20
"""What is held of a file at once, code left out: the last of it that passed."""
_READ_BYTES: Final = 16 << 20
_MAX_PLACES: Final = 64
"""A program that looks for a mark has it among its constants, too; ten times is many."""


def is_executable(head: bytes) -> bool:
    """Tells by its first HEAD_BYTES whether a file is an ELF, a PE or a Mach-O."""
    if head[:1] not in _FIRST:
        return False
    start = head[:4]
    return (
        start == ELF
        or start in MACH_O
        or head[:2] == PE
        or (head[:7] == FAT and head[7:8] < bytes((MAX_ARCHITECTURES,)))
    )


def find_marks(
    pieces: Iterable[memoryview], follows: Mapping[Mark, Follow], *, whole: bool = False
) -> dict[Mark, bytes]:
    """Returns the marks that are in the file, wherever the borders of its pieces fall, and what they lead to.

    That is empty where it could not be had. A mark is looked for only where it can be, if the first bytes tell
    where that is: machine code, which is most of a program, has none, and is not held. What is left when all marks
    are found and followed is not asked for.

    Args:
        pieces: the file, in order; each is looked at before the next one is asked for.
        follows: what to look for, and who follows it; no mark is empty.
        whole: whether to look everywhere and to follow nothing, because the offsets in the file's headers do not
            hold.
    """
    search = _Search(follows, followed=not whole)
    for piece in _with_headers(pieces):
        search.pass_by(piece)
        if not search.pending:
            break
    return search.finish()


def _with_headers(pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    """Joins the first pieces until they have all headers."""
    several = iter(pieces)
    head = b""
    for piece in several:
        if not head and len(piece) >= _HEADERS_BYTES:
            yield piece
            break
        head += piece
        if len(head) >= _HEADERS_BYTES:
            break
    if head:
        yield memoryview(head)
    yield from several


class _Search:
    def __init__(self, follows: Mapping[Mark, Follow], *, followed: bool) -> None:
        self.pending = dict(follows)
        """Marks that were not found and followed yet."""
        self._marks = tuple(follows)
        self._followed = followed
        self._reach = max(len(mark.text) for mark in follows) - 1
        self._found: dict[Mark, bytes] = {}
        self._at: dict[Mark, dict[int, None]] = {mark: {} for mark in follows}
        self._held = _Held()
        self._layout: Layout | None = None if followed else EVERYWHERE
        self._programs: tuple[_Program, ...] = ()
        self._passed = 0
        self._tail = b""

    def pass_by(self, piece: memoryview) -> None:
        layout = self._layout
        if layout is None:
            layout = self._layout = self._begin(bytes(piece[:_HEAD_BYTES]))
        at, reach = self._passed, self._reach
        self._note(self._tail + bytes(piece[:reach]), at - len(self._tail), Kind.ANY)
        end = at + len(piece)
        for start, stop, kind in layout.places:
            if start < end and stop > at:
                first = max(start, at)
                part = bytes(piece[first - at : min(stop, end) - at])
                self._note(part, first, kind)
                if self._followed:
                    self._held.add(first, part)
        self._tail = (self._tail + bytes(piece[-reach:]))[-reach:]
        self._passed = end
        self._follow()

    def finish(self) -> dict[Mark, bytes]:
        for program in self._programs:
            program.whole = True
        self._follow()
        return {mark: self._found.get(mark, b"") for mark in self._marks if self._at[mark]}

    def _begin(self, head: bytes) -> Layout:
        self._held.head = head
        self._programs = tuple(_Program(self._held, start) for start in starts_of(head))
        return layout_of(head)

    def _note(self, part: bytes, first: int, kind: Kind) -> None:
        for mark in self.pending:
            places = self._at[mark]
            if not kind & (Kind.LOADED if mark.loaded else Kind.UNLOADED):
                continue
            at = part.find(mark.text)
            while at >= 0 and len(places) < _MAX_PLACES:
                places[first + at] = None
                at = part.find(mark.text, at + 1)

    def _follow(self) -> None:
        for mark, follow in tuple(self.pending.items()):
            for at in self._at[mark]:
                program = next((each for each in reversed(self._programs) if each.start <= at), None)
                content = None if program is None else follow(program, at - program.start)
                if content is not None or not self._followed:
                    self._found[mark] = content or b""
                    del self.pending[mark]
                    break


class _Held:
    """The last bytes of a file that passed, in the order of their offsets, but for those that were left out."""

    def __init__(self) -> None:
        self.head = b""
        """Of the whole file: headers may lie among machine code."""
        self._parts: deque[tuple[int, bytes]] = deque()
        self._bytes = 0

    def add(self, start: int, part: bytes) -> None:
        self._parts.append((start, part))
        self._bytes += len(part)
        while self._bytes > _HELD_BYTES:
            self._bytes -= len(self._parts.popleft()[1])

    def read(self, start: int, size: int) -> bytes:
        """Returns what is held of a range, from its beginning to the first byte that is missing."""
        taken: list[bytes] = []
        for first, part in itertools.chain(((0, self.head),), self._parts):
            if size <= 0:
                break
            if first <= start < first + len(part):
                taken.append(part[start - first : start - first + size])
                start += len(taken[-1])
                size -= len(taken[-1])
        return b"".join(taken)


class _Program:
    """One executable of the file, as who follows a mark sees it: its offsets begin where it does."""

    def __init__(self, held: _Held, start: int) -> None:
        self.start = start
        self.whole = False
        self._held = held
        self._layout: Layout | None = None
        self._sections: Mapping[bytes, Section] | None = None

    def read(self, start: int, size: int) -> bytes:
        return self._held.read(self.start + start, size) if 0 <= size <= _READ_BYTES else b""

    def offset(self, address: int) -> int | None:
        for load in self._headers().loads:
            if load.address <= address < load.address + load.size:
                return address - load.address + load.start
        return None

    def section(self, name: bytes) -> Section | None:
        if self._sections is None:
            layout = self._headers()
            if layout.table is None:
                self._sections = layout.sections
            elif self.whole:
                self._sections = self._read_sections(layout)
        return None if self._sections is None else self._sections.get(name)

    def _headers(self) -> Layout:
        if self._layout is None:
            head = self._held.read(self.start, _HEAD_BYTES)
            layout = layout_of(head)
            if len(head) < _HEADERS_BYTES and not self.whole:
                return layout
            self._layout = layout
        return self._layout

    def _read_sections(self, layout: Layout) -> dict[bytes, Section]:
        found: dict[bytes, Section] = {}
        if layout.table is not None:
            table = self.read(layout.table.start, layout.table.entries * layout.table.entry_bytes)
            names = self.read(*names_section(table, layout.table))
            for name, section in names_in(table, names, layout.table):
                found.setdefault(name, section)
        return found
