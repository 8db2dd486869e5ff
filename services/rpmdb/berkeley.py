"""`Packages`: a hash of Berkeley DB, as rpm kept it before 4.16 (its source, `dbinc/db_page.h`; read 2026-11).

Pages of pairs: a number of four bytes and a header, which nearly always lies in a chain of pages of its own. Pages
are read as they lie: which bucket they belong to does not matter. The file's magic tells the order of its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from services.rpmdb.faults import Damaged

_MAGIC: Final = 0x061561
_META_SIZE: Final = 72
_META_TYPE: Final = 8
_PAGE_HEADER: Final = 26
_HASH_TYPES: Final = frozenset({2, 13})
"""Unsorted, of old, and sorted."""
_OVERFLOW_TYPE: Final = 7
_KEY_DATA: Final = 1
_OFF_PAGE: Final = 3
_HIGHEST_NUMBER: Final = b"\0\0\0\0"
"""The key of what is no package: the highest number that was given."""


def is_hash(content: bytes) -> bool:
    """Tells whether the file is one, by its first page."""
    return _order(content) is not None


def blobs(content: bytes) -> Iterator[bytes | memoryview | Damaged]:
    """Yields the headers in the order of their pages, and what could not be read in its place.

    Raises:
        Damaged: no such file, or an encrypted one.
    """
    order = _order(content)
    if order is None:
        raise Damaged("is no hash of Berkeley DB")
    size = struct.unpack_from(order + "I", content, 20)[0]
    if not 512 <= size <= 65536 or size & (size - 1):
        raise Damaged("has pages of no possible size")
    if content[24]:
        raise Damaged("is encrypted")
    yield from _Pages(content, size, order).values()


def _order(content: bytes) -> str | None:
    if len(content) < _META_SIZE or content[25] != _META_TYPE:
        return None
    return next((order for order in "<>" if struct.unpack_from(order + "I", content, 12)[0] == _MAGIC), None)


class _Pages:
    def __init__(self, content: bytes, size: int, order: str) -> None:
        self._content = memoryview(content)
        self._size = size
        self._header = struct.Struct(order + "8xIIIHHBB")
        self._place = struct.Struct(order + "H")
        self._off_page = struct.Struct(order + "4xII")
        self._visited: set[int] = set()

    def values(self) -> Iterator[bytes | memoryview | Damaged]:
        count = len(self._content) // self._size
        for number in range(1, count):
            page = self._page(number)
            if page[25] not in _HASH_TYPES:
                continue
            entries = self._header.unpack_from(page)[3]
            if _PAGE_HEADER + 2 * entries > self._size:
                yield Damaged("has more entries than a page can hold")
                continue
            places = [self._place.unpack_from(page, _PAGE_HEADER + 2 * each)[0] for each in range(entries)]
            for key, value in zip(places[::2], places[1::2], strict=False):
                blob = self._value(page, key, value)
                if blob is not None:
                    yield blob

    def _page(self, number: int) -> memoryview:
        return self._content[number * self._size : (number + 1) * self._size]

    def _value(self, page: memoryview, key: int, value: int) -> bytes | memoryview | Damaged | None:
        """Items lie from the page's end downward: one ends where the one before begins."""
        if not _PAGE_HEADER <= value < key < self._size:
            return Damaged("lies outside of its page")
        if page[key] == _KEY_DATA and bytes(page[key + 1 : key + 5]) == _HIGHEST_NUMBER:
            return None
        kind = page[value]
        if kind == _KEY_DATA:
            return page[value + 1 : key]
        if kind != _OFF_PAGE or value + self._off_page.size > self._size:
            return Damaged("is stored in a way that rpm never used")
        first, length = self._off_page.unpack_from(page, value)
        try:
            return self._chain(first, length)
        except Damaged as damage:
            return damage

    def _chain(self, number: int, length: int) -> bytes:
        if length > len(self._content):
            raise Damaged("is longer than the file")
        gathered = bytearray()
        while len(gathered) < length:
            page = self._page(number)
            if len(page) < self._size or page[25] != _OVERFLOW_TYPE:
                raise Damaged("breaks off")
            if number in self._visited:
                raise Damaged("shares a page with another")
            self._visited.add(number)
            _, _, following, _, filled, _, _ = self._header.unpack_from(page)
            if not 0 < filled <= self._size - _PAGE_HEADER:
                raise Damaged("breaks off")
            gathered += page[_PAGE_HEADER : _PAGE_HEADER + filled]
            number = following
        return bytes(gathered[:length])
