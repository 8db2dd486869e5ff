"""The head of a bbolt file, such as Trivy's database: whether it is undamaged, and the file as long as it says.

Two meta pages take turns; the later one of those that are whole counts (go.etcd.io/bbolt, `meta` and `DB.mmap`).
The other pages are not read: Trivy does that, by a memory map, and dies where the file ends before they do.
"""

from __future__ import annotations

import os
import struct
from typing import Final, NamedTuple

_HEADER_BYTES: Final = 16
_META: Final = struct.Struct("<IIIIQQQQQQ")
"""Magic, version, page size, flags, root and its sequence, free list, high-water page, transaction, checksum."""
_MAGIC: Final = 0xED0CDAED
_VERSION: Final = 2
_PAGE_BYTES: Final = tuple(1 << power for power in range(12, 17))
_FNV_OFFSET: Final = 0xCBF29CE484222325
_FNV_PRIME: Final = 0x100000001B3


class _Meta(NamedTuple):
    transaction: int
    bytes: int
    """Up to the end of the last page in use."""


def is_whole(file: int) -> bool:
    """Tells whether the open file has a meta page that is undamaged, and all pages that the page speaks of."""
    first = _read(file, 0)
    places = (_page_bytes(file),) if first else _PAGE_BYTES
    metas = [meta for meta in (first, *(_read(file, place) for place in places)) if meta]
    return bool(metas) and os.fstat(file).st_size >= max(metas).bytes


def _read(file: int, page_at: int) -> _Meta | None:
    content = os.pread(file, _META.size, page_at + _HEADER_BYTES)
    if len(content) < _META.size:
        return None
    magic, version, page_bytes, _, _, _, _, high_water, transaction, checksum = _META.unpack(content)
    if (magic, version) != (_MAGIC, _VERSION) or checksum != _fnv(content[:-8]):
        return None
    return _Meta(transaction, high_water * page_bytes)


def _page_bytes(file: int) -> int:
    return int.from_bytes(os.pread(file, 4, _HEADER_BYTES + 8), "little")


def _fnv(content: bytes) -> int:
    """FNV-1a, 64 bits."""
    value = _FNV_OFFSET
    for byte in content:
        value = ((value ^ byte) * _FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
    return value
