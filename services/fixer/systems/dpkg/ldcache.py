"""The cache of libraries, `/etc/ld.so.cache`: its end names who wrote it (glibc from 2.33 on, elf/cache.c).

On every upgrade of a library ldconfig writes it anew. What it says of libraries stays right while their names do,
which `check.py` sees to; a new version of ldconfig itself leaves its own name.
"""

from __future__ import annotations

import struct
from typing import Final

CACHE: Final = "etc/ld.so.cache"
WRITER: Final = "libc-bin"
"""The package that ldconfig is of."""
_MAGIC: Final = b"glibc-ld.so.cache1.1"
_HEADER: Final = "IIB3xI12x"
"""Libraries, bytes of strings, order of bytes, where the extension begins."""
_EXTENSION: Final = 0xEAA42174
_GENERATOR: Final = 0
_BIG: Final = 3


def written_by(cache: bytes, old: str, new: str) -> bytes:
    """Returns the cache as ldconfig of another version writes it; the same where it names no such writer."""
    place = _writer(cache)
    if place is None:
        return cache
    order, size_at, start = place
    writer = cache[start:].replace(f" GLIBC {old})".encode(), f" GLIBC {new})".encode())
    return cache[:size_at] + struct.pack(f"{order}I", len(writer)) + cache[size_at + 4 : start] + writer


def _writer(cache: bytes) -> tuple[str, int, int] | None:
    """Returns the order of bytes, and where the length of the writer's name and the name itself stand."""
    begin = len(_MAGIC)
    if not cache.startswith(_MAGIC) or len(cache) < begin + struct.calcsize(f"<{_HEADER}"):
        return None
    order = ">" if cache[begin + 8] & 3 == _BIG else "<"
    at = struct.unpack_from(f"{order}{_HEADER}", cache, begin)[3]
    if not 0 < at <= len(cache) - 8:
        return None
    magic, sections = struct.unpack_from(f"{order}II", cache, at)
    if magic != _EXTENSION or at + 8 + 16 * sections > len(cache):
        return None
    for each in range(at + 8, at + 8 + 16 * sections, 16):
        tag, _, start, size = struct.unpack_from(f"{order}IIII", cache, each)
        if tag == _GENERATOR and start + size == len(cache):
            return order, each + 12, start
    return None
