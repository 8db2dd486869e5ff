"""Files of an index, unpacked in pieces by the ending of their names."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import IO, Final

import zstandard

DAMAGED: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, zstandard.ZstdError, ValueError)
"""What unpacking raises."""
_MAX_WINDOW: Final = 128 << 20
_CHUNK: Final = 1 << 18


def unpacked(file: IO[bytes], href: str, at_most: int) -> Iterator[bytes]:
    """Yields at most so many bytes; a file that has more is refused by one of DAMAGED."""
    total = 0
    for chunk in _stream(file, href):
        total += len(chunk)
        if total > at_most:
            raise ValueError("more than a list of packages may have")
        yield chunk


def _stream(file: IO[bytes], href: str) -> Iterator[bytes]:
    """Unpacks by the name's ending, in pieces."""
    if href.endswith(".zst"):
        with zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            file, read_across_frames=True, closefd=False
        ) as reader:
            while chunk := reader.read(_CHUNK):
                yield chunk
    elif href.endswith(".gz"):
        yield from _inflated(file)
    elif href.endswith((".xz", ".bz2")):
        unpacker = (
            bz2.BZ2Decompressor() if href.endswith(".bz2") else lzma.LZMADecompressor(memlimit=_MAX_WINDOW * 2)
        )
        while not unpacker.eof:
            packed = file.read(_CHUNK) if unpacker.needs_input else b""
            if not packed and unpacker.needs_input:
                raise EOFError("it breaks off")
            yield unpacker.decompress(packed, _CHUNK)
    else:
        while chunk := file.read(_CHUNK):
            yield chunk


def _inflated(file: IO[bytes]) -> Iterator[bytes]:
    unpacker = zlib.decompressobj(31)
    while not unpacker.eof:
        packed = unpacker.unconsumed_tail or file.read(_CHUNK)
        if not packed:
            raise EOFError("it breaks off")
        yield unpacker.decompress(packed, _CHUNK)
