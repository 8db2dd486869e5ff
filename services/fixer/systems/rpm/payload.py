"""The payload of a package: a cpio archive, compressed (cpio(5), "New ASCII Format"; rpm 4.18, `lib/cpio.c`).

Read once and in order; what an entry is follows from the package's header, which was signed, and not from here.
"""

from __future__ import annotations

import bz2
import dataclasses
import io
import lzma
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, Protocol

import zstandard

from services.fixer.systems.rpm import tags
from services.fixer.systems.rpm.package import Package
from services.rpmdb.faults import Damaged

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_NEW_ASCII: Final = (b"070701", b"070702")
_STRIPPED: Final = b"07070X"
"""Of packages with files above 4 GB: the number of the file in the header instead of its name and attributes."""
_END: Final = b"TRAILER!!!"
_FIELDS: Final = 104
_MAX_NAME: Final = 4096
_MAX_WINDOW: Final = 128 << 20
_LZMA_MEMORY: Final = 256 << 20
_DAMAGED: Final = (
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    zstandard.ZstdError,
    ValueError,
)


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One file as it comes."""

    path: str
    """Relative; empty where `number` says which it is."""
    number: int
    """Of the file in the header; -1 where `path` says which it is."""
    size: int
    content: IO[bytes]
    """Gives `size` bytes; valid until the next entry."""


class _Part(io.RawIOBase):
    """So many bytes of a stream, and no more."""

    def __init__(self, stream: IO[bytes], size: int) -> None:
        self._stream = stream
        self.left = size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        chunk = _read(self._stream, min(len(view), self.left))
        if not chunk and self.left and len(view):
            raise Damaged("ends within a file")
        view[: len(chunk)] = chunk
        self.left -= len(chunk)
        return len(chunk)


@contextmanager
def entries(package: Package, sizes: Iterator[int] | list[int] | tuple[int, ...]) -> Iterator[Iterator[Entry]]:
    """Opens the payload; `sizes` are those of the header's files, which stripped entries do not tell.

    Raises:
        Damaged: while the entries are read: a format or compressor that nobody knows, or data that breaks off.
    """
    form = package.header.text(tags.PAYLOAD_FORMAT) or "cpio"
    if form != "cpio":
        raise Damaged(f"has a payload of the format {form[:20]!r}")
    with package.path.open("rb") as file:
        file.seek(package.payload)
        with _decompressed(file, package.header.text(tags.PAYLOAD_COMPRESSOR) or "gzip") as stream:
            yield _entries(stream, tuple(sizes))


def _decompressed(file: IO[bytes], compressor: str) -> IO[bytes]:
    if compressor == "gzip":
        return io.BufferedReader(_Unpacked(file, _Gzip()), 1 << 18)
    if compressor in ("xz", "lzma"):
        form = lzma.FORMAT_XZ if compressor == "xz" else lzma.FORMAT_ALONE
        return io.BufferedReader(_Unpacked(file, lzma.LZMADecompressor(form, memlimit=_LZMA_MEMORY)), 1 << 18)
    if compressor == "zstd":
        reader = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            file, read_across_frames=True, closefd=False
        )
        return io.BufferedReader(reader, 1 << 18)
    if compressor == "bzip2":
        return bz2.BZ2File(file, "rb")
    raise Damaged(f"is compressed by {compressor[:20]!r}, which is not known here")


class _Unpacker(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """What `zlib` gives, in the shape that `lzma` has."""

    def __init__(self) -> None:
        self._inflate = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inflate.eof

    @property
    def needs_input(self) -> bool:
        return not self._inflate.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inflate.decompress(self._inflate.unconsumed_tail + data, max_length)


class _Unpacked(io.RawIOBase):
    """A compressed file, read to the end of its stream within the unpacker's limits of memory."""

    def __init__(self, file: IO[bytes], unpacker: _Unpacker) -> None:
        self._file = file
        self._unpacker = unpacker

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        while not self._unpacker.eof:
            packed = self._file.read(1 << 17) if self._unpacker.needs_input else b""
            chunk = self._unpacker.decompress(packed, len(view))
            if chunk:
                view[: len(chunk)] = chunk
                return len(chunk)
            if not packed and self._unpacker.needs_input and not self._unpacker.eof:
                raise EOFError("the payload ends before its own end mark")
        return 0


def _entries(stream: IO[bytes], sizes: tuple[int, ...]) -> Iterator[Entry]:
    left = 4 * len(sizes) + 16
    while left:
        left -= 1
        magic = _exactly(stream, 6)
        if magic == _STRIPPED:
            number = _hex(_exactly(stream, 8))
            _skip(stream, 2)
            if number >= len(sizes):
                raise Damaged("has a file in its payload that its header does not tell of")
            path, size = "", sizes[number]
        elif magic in _NEW_ASCII:
            fields = _exactly(stream, _FIELDS)
            size, length = _hex(fields[48:56]), _hex(fields[88:96])
            if not 0 < length <= _MAX_NAME:
                raise Damaged("has a name in its payload that cannot be one")
            name = _exactly(stream, length).rstrip(b"\0")
            _skip(stream, -(110 + length) % 4)
            if name == _END:
                return
            number, path = -1, os.fsdecode(name.removeprefix(b".").lstrip(b"/"))
        else:
            raise Damaged("has a payload that is no cpio archive")
        part = _Part(stream, size)
        yield Entry(path, number, size, io.BufferedReader(part, 1 << 16))
        _skip(stream, part.left)
        _skip(stream, -size % 4)
    raise Damaged("has more files in its payload than its header tells of")


def _hex(text: bytes) -> int:
    try:
        return int(text, 16)
    except ValueError as error:
        raise Damaged("has a payload that is no cpio archive") from error


def _skip(stream: IO[bytes], size: int) -> None:
    while size:
        size -= len(_exactly(stream, min(size, 1 << 18)))


def _exactly(stream: IO[bytes], size: int) -> bytes:
    gathered = bytearray()
    while len(gathered) < size:
        chunk = _read(stream, size - len(gathered))
        if not chunk:
            raise Damaged("has a payload that breaks off")
        gathered += chunk
    return bytes(gathered)


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except _DAMAGED as error:
        raise Damaged("has a payload that cannot be unpacked") from error
