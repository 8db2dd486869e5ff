"""A layer file as uncompressed chunks, bounded and hashed on the way.

Formats: RFC 1952 (gzip), RFC 8878 (zstd); OCI image-spec, layer.md, section "+gzip Media Types".
"""

from __future__ import annotations

import gzip
import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, cast

import zstandard
from isal import isal_zlib

from services.kernel.reasons import Reason, ScanFailure
from services.layers.corrupt import corrupt
from services.layers.limits import LayerLimits
from services.layers.zstd_frames import MAGIC as ZSTD_MAGIC
from services.layers.zstd_frames import check_frames, is_skippable
from services.registry.interface import Descriptor
from services.registry.verify import BlobCheck

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK_BYTES: Final = 512 << 10
"""So much fits into the cache of a core beside all else: what was just decompressed is walked at once."""
_BUFFERS: Final = 4
_READ_AHEAD: Final = 512 << 10
_GZIP_MAGIC: Final = b"\x1f\x8b"
_MAX_WINDOW: Final = 128 << 20
"""Memory that a zstd frame may ask for; what `zstd --long` makes by default."""

_NO_MEMORY: Final = "Allocation error"
"""How zstd says that it got no memory."""

ReadInto = Callable[[memoryview], int]
_DAMAGED: Final = (
    gzip.BadGzipFile,
    cast("type[Exception]", isal_zlib.error),  # its stub takes the class for an instance
    zstandard.ZstdError,
    OverflowError,  # a gzip header, such as one with an endless file name, longer than what is read ahead
)


class LayerReader:
    """Gives the uncompressed bytes once, in order, and hashes them."""

    def __init__(self, ahead: _ReadAhead, thread: ThreadPoolExecutor) -> None:
        self._ahead = ahead
        self._reading = thread.submit(ahead.run)
        self._chunk = memoryview(b"")
        self._sha256 = hashlib.sha256()
        self.size = 0
        """Uncompressed bytes given so far."""

    def next_chunk(self) -> memoryview:
        """Returns the next CHUNK_BYTES, fewer at the end, none after it. Valid until the next call.

        Raises:
            ScanFailure: LAYER_CORRUPT, LAYER_EXPANDS_TOO_FAR, LAYER_TOO_LARGE.
        """
        self._chunk = chunk = self._ahead.exchange(self._chunk)
        if not chunk:
            self._reading.result()
        self._sha256.update(chunk)
        self.size += len(chunk)
        return chunk

    def skip(self, _size: int) -> int:
        """Skips nothing: every byte is hashed."""
        return 0

    def drain(self) -> None:
        """Reads what is left, so that it is hashed too."""
        while self.next_chunk():
            pass

    def diff_id(self) -> str:
        """Returns the digest of all bytes given so far; the layer's diffID once it has been read to its end."""
        return f"sha256:{self._sha256.hexdigest()}"


class _ReadAhead:
    """Decompresses in a thread that waits for nothing but room: what it gave is hashed and walked meanwhile.

    Two threads, not three: a third one would take turns with the decompressor where there are two cores.
    """

    def __init__(self, read_into: ReadInto, position: Callable[[], int], bound: _Bound) -> None:
        self._read_into = read_into
        self._position = position
        self._bound = bound
        self._unpacked = 0
        self._filled: SimpleQueue[memoryview] = SimpleQueue()
        self._free: SimpleQueue[memoryview | None] = SimpleQueue()
        for _ in range(_BUFFERS):
            self._free.put(memoryview(bytearray(CHUNK_BYTES)))

    def exchange(self, chunk: memoryview) -> memoryview:
        """Takes back a chunk given before and returns the next one; an empty one is the end, or a failure."""
        if chunk:
            self._free.put(memoryview(chunk.obj))
        filled = self._filled.get()
        if not filled:
            self._filled.put(filled)  # for whoever asks once more
        return filled

    def run(self) -> None:
        """Fills what is free until the layer ends or somebody stops it.

        Raises:
            ScanFailure: LAYER_CORRUPT, LAYER_EXPANDS_TOO_FAR, LAYER_TOO_LARGE.
        """
        try:
            while (buffer := self._free.get()) is not None and (chunk := self._fill(buffer)):
                self._filled.put(chunk)
        finally:
            self._filled.put(memoryview(b""))

    def stop(self) -> None:
        """Makes `run` end soon."""
        self._free.put(None)

    def _fill(self, view: memoryview) -> memoryview:
        filled = 0
        while filled < CHUNK_BYTES and (got := self._read(view[filled:])):
            filled += got
        self._unpacked += filled
        self._bound.check(self._unpacked)
        return view[:filled]

    def _read(self, into: memoryview) -> int:
        try:
            return self._read_into(into)
        except EOFError as error:
            raise corrupt(
                f"its compressed data ends at byte {self._position()}, before its own end mark"
            ) from error
        except _DAMAGED as error:
            if _NO_MEMORY in str(error):
                raise MemoryError from error  # that is our want, not the layer's fault
            raise corrupt(
                f"its compressed data is damaged before byte {self._position()} (uncompressed: {self._unpacked}): "
                f"{str(error)[:120]}"
            ) from error


class _Bound:
    def __init__(self, stored: int, limits: LayerLimits, *, compressed: bool) -> None:
        self._stored = stored
        self._limits = limits
        ratio = max(limits.expansion_free_bytes, limits.expansion * stored)
        self._most = min(limits.uncompressed_bytes, ratio) if compressed else limits.uncompressed_bytes

    def check(self, size: int) -> None:
        if size <= self._most:
            return
        metadata = {"limit": str(self._most), "stored": str(self._stored)}
        if self._most == self._limits.uncompressed_bytes:
            raise ScanFailure(
                Reason.LAYER_TOO_LARGE,
                f"The layer has more than {self._most} uncompressed bytes.",
                hint="Raise DRYDOCK_SCANNER_LAYER_UNCOMPRESSED_BYTES if it really is that large.",
                metadata=metadata,
            )
        raise ScanFailure(
            Reason.LAYER_EXPANDS_TOO_FAR,
            f"The layer expands to more than {self._most} bytes from its stored {self._stored}.",
            hint="Hardly any content does that, decompression bombs do.",
            metadata=metadata,
        )


class _Checked(FileIO):
    """A layer file whose bytes are held against a descriptor as they are read."""

    def __init__(self, path: Path, expected: Descriptor) -> None:
        super().__init__(path)
        self._check = BlobCheck(expected)

    def readinto(self, into: WriteableBuffer, /) -> int:
        got = super().readinto(into)
        self._check.add(memoryview(into)[:got])
        return got

    def read(self, size: int | None = -1, /) -> bytes:
        content = super().read(size)
        self._check.add(content)
        return content

    def finish(self) -> None:
        """Reads what is left and gives the verdict."""
        while self.read(_READ_AHEAD):
            pass
        self._check.finish()


@contextmanager
def open_layer(
    path: Path, media_type: str, limits: LayerLimits, expected: Descriptor | None = None
) -> Iterator[LayerReader]:
    """Opens a layer file as stored in a registry: plain tar, gzip (any number of members) or zstd (of frames).

    The first bytes decide which; the media type only says what to expect where they say nothing. With a descriptor
    that is `expected`, the end of the block says whether it was that: before any other failure of the layer.

    Raises:
        ScanFailure: LAYER_CORRUPT; DIGEST_MISMATCH.
    """
    file = FileIO(path) if expected is None else _Checked(path, expected)
    with file, ThreadPoolExecutor(1, "layer-read") as thread:
        try:
            with _reading(file, media_type, limits, thread) as reader:
                yield reader
        except ScanFailure:
            _settle(file, thread)
            raise
        _settle(file, thread)


def _settle(file: FileIO, reading: ThreadPoolExecutor) -> None:
    if isinstance(file, _Checked):
        reading.shutdown()
        file.finish()


@contextmanager
def _reading(
    file: FileIO, media_type: str, limits: LayerLimits, thread: ThreadPoolExecutor
) -> Iterator[LayerReader]:
    size = os.fstat(file.fileno()).st_size
    read_into = _reader_for(file, size, media_type, limits)
    bound = _Bound(size, limits, compressed=read_into != file.readinto)
    ahead = _ReadAhead(read_into, file.tell, bound)
    try:
        yield LayerReader(ahead, thread)
    finally:
        ahead.stop()


def _reader_for(file: FileIO, size: int, media_type: str, limits: LayerLimits) -> ReadInto:
    magic = os.pread(file.fileno(), 4, 0)
    if magic.startswith(_GZIP_MAGIC):
        return isal_zlib._GzipReader(file, _READ_AHEAD).readinto
    if magic == ZSTD_MAGIC or is_skippable(magic):
        check_frames(file.fileno(), size, limits.zstd_blocks)
        decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW)
        return decompressor.stream_reader(file, read_size=_READ_AHEAD, read_across_frames=True).readinto
    if size == 0 and media_type.endswith(("gzip", "zstd")):
        raise corrupt(f"it is empty, which {media_type[:120]!r} cannot be")
    return file.readinto
