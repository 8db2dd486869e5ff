"""`rpmdb.sqlite`: the rows of one table of an SQLite file (sqlite.org, "Database File Format"; read 2026-11).

Why the pages are walked here instead of by SQLite: decision 0018. Of the format there is what rpm uses: UTF-8,
tables with a row number, pages that need no journal. A page that cannot be read costs its own rows and no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from services.rpmdb.faults import Damaged

MAGIC: Final = b"SQLite format 3\0"

_TABLE: Final = b"Packages"
_HEADER: Final = 100
_INTERIOR: Final = 5
_LEAF: Final = 13
_SERIAL_BLOB: Final = 12
_MAX_DEPTH: Final = 20
_INTEGERS: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}
"""Serial types of numbers, and how many bytes each takes."""


def blobs(content: bytes) -> Iterator[bytes | Damaged]:
    """Yields the last column of each row of `Packages`, and what could not be read in its place.

    Each page is visited once, so that loops end.

    Raises:
        Damaged: no SQLite file, or one without that table.
    """
    for row in table(content, _TABLE):
        if isinstance(row, Damaged):
            yield row
            continue
        _, columns = row
        if columns and isinstance(columns[-1], bytes):
            yield columns[-1]
        else:
            yield Damaged("has no header")


def table(content: bytes, name: bytes) -> Iterator[Row | Damaged]:
    """Yields the rows of a table, and what could not be read in its place.

    Raises:
        Damaged: no SQLite file, or one without that table.
    """
    pages = _Pages(content)
    for row in pages.rows(1):
        if isinstance(row, Damaged):
            raise row
        _, columns = row
        if len(columns) >= 4 and columns[:2] == [b"table", name] and isinstance(columns[3], int):
            break
    else:
        raise Damaged("has no table of packages" if name == _TABLE else "lacks a table")
    yield from pages.rows(columns[3])


def tables(content: bytes) -> Iterator[bytes]:
    """Yields the names of all tables.

    Raises:
        Damaged: no SQLite file, or one whose list of them cannot be read.
    """
    for row in _Pages(content).rows(1):
        if isinstance(row, Damaged):
            raise row
        _, columns = row
        if len(columns) >= 2 and columns[0] == b"table" and isinstance(columns[1], bytes):
            yield columns[1]


Row = tuple[int, list[bytes | int]]
"""Its number and its columns."""


class _Pages:
    def __init__(self, content: bytes) -> None:
        if not content.startswith(MAGIC) or len(content) < _HEADER:
            raise Damaged("is no SQLite file")
        size = int.from_bytes(content[16:18])
        self._size = 65536 if size == 1 else size
        if self._size < 512 or self._size & (self._size - 1):
            raise Damaged("has pages of no possible size")
        self._usable = self._size - content[20]
        if self._usable < 480:
            raise Damaged("has pages of no possible size")
        self._content = memoryview(content)
        self._visited: set[int] = set()

    def rows(self, root: int) -> Iterator[Row | Damaged]:
        """Yields the rows of the table whose tree begins at a page, numbered from 1."""
        waiting = [(root, 0)]
        while waiting:
            number, depth = waiting.pop()
            try:
                page, kind, cells = self._node(number, depth)
            except Damaged as damage:
                yield damage
                continue
            if kind == _INTERIOR:
                children = [int.from_bytes(page[cell : cell + 4]) for cell in cells]
                right = (_HEADER if number == 1 else 0) + 8
                children.append(int.from_bytes(page[right : right + 4]))
                waiting.extend((child, depth + 1) for child in reversed(children))
                continue
            for cell in cells:
                try:
                    yield self._row(page, cell)
                except Damaged as damage:
                    yield damage

    def _node(self, number: int, depth: int) -> tuple[memoryview, int, list[int]]:
        page = self._page(number)
        if depth > _MAX_DEPTH:
            raise Damaged("lies too deep")
        start = _HEADER if number == 1 else 0
        kind, count = page[start], int.from_bytes(page[start + 3 : start + 5])
        if kind not in (_INTERIOR, _LEAF):
            raise Damaged("is no page of a table")
        first = start + (12 if kind == _INTERIOR else 8)
        if first + 2 * count > self._usable:
            raise Damaged("has more cells than a page can hold")
        places = page[first : first + 2 * count]
        return page, kind, [int.from_bytes(places[at : at + 2]) for at in range(0, 2 * count, 2)]

    def _page(self, number: int) -> memoryview:
        """Returns a page that was not visited before."""
        start = (number - 1) * self._size
        if number < 1 or start + self._size > len(self._content):
            raise Damaged("lies beyond the end of the file")
        if number in self._visited:
            raise Damaged("was read before")
        self._visited.add(number)
        return self._content[start : start + self._size]

    def _row(self, page: memoryview, cell: int) -> Row:
        length, at = _varint(page, cell)
        number, at = _varint(page, at)
        if length > len(self._content):
            raise Damaged("is longer than the file")
        return number, _columns(self._payload(page, at, length))

    def _payload(self, page: memoryview, at: int, length: int) -> memoryview:
        """Gathers what a cell holds; what its page has no room for lies in a chain of others ("Overflow")."""
        most = self._usable - 35
        if length <= most:
            local = length
        else:
            least = (self._usable - 12) * 32 // 255 - 23
            local = least + (length - least) % (self._usable - 4)
            local = least if local > most else local
        if at + local + (4 if local < length else 0) > self._usable:
            raise Damaged("goes beyond its page")
        if local == length:
            return page[at : at + local]
        gathered = bytearray(page[at : at + local])
        following = int.from_bytes(page[at + local : at + local + 4])
        while len(gathered) < length:
            overflow = self._page(following)
            gathered += overflow[4 : min(self._usable, 4 + length - len(gathered))]
            following = int.from_bytes(overflow[:4])
        return memoryview(gathered)


def _columns(record: memoryview) -> list[bytes | int]:
    """Reads a record ("Record Format"); numbers that are no integers count as 0, as nobody here wants them."""
    header, at = _varint(record, 0)
    if header > len(record):
        raise Damaged("is cut off")
    values: list[bytes | int] = []
    body = header
    while at < header:
        kind, at = _varint(record, at)
        size = _INTEGERS.get(kind, (kind - _SERIAL_BLOB) // 2)
        if size < 0 or body + size > len(record):
            raise Damaged("is cut off")
        value = bytes(record[body : body + size])
        body += size
        if kind >= _SERIAL_BLOB:
            values.append(value)
        else:
            values.append({8: 0, 9: 1}.get(kind, int.from_bytes(value, signed=True)))
    return values


def _varint(page: memoryview, at: int) -> tuple[int, int]:
    """Returns the number and where it ends: seven bits in each byte, eight in the ninth."""
    value = 0
    for place in range(at, at + 9):
        if place >= len(page):
            raise Damaged("is cut off")
        byte = page[place]
        if place == at + 8:
            return value << 8 | byte, place + 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, place + 1
    raise AssertionError("nine bytes end every number")
