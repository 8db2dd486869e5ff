"""Packed: gzip, bzip2, xz and zstd files as they unpack, never more at once than somebody asks for.

Formats: RFC 1952 (gzip), RFC 8878 (zstd), the .xz file format 1.2.1, and bzip2's own program.
"""

from __future__ import annotations

import bz2
import lzma
import re
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

import zstandard
from isal import igzip_lib

_MEMORY: Final = 128 << 20
"""What a file may ask for: `xz -9` asks for half of it, `zstd --ultra -22` for all."""
_STEP: Final = 1 << 16
_ZEROS: Final = re.compile(rb"\0+")
_SKIPPABLE: Final = tuple(bytes((first,)) + b"\x2a\x4d\x18" for first in range(0x50, 0x60))
"""How a frame of zstd begins that holds nothing."""


class _Decompressor(Protocol):
    """What the decompressors of the standard library are."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class Form(NamedTuple):
    """A way to pack one file."""

    magic: bytes
    start: Callable[[], _Decompressor]


class _Zstd:
    """zstd's decompressor, which gives all that its input makes: it gets little of it at once."""

    _PIECE: Final = 1 << 10
    """Four bytes make 128 KiB."""

    def __init__(self) -> None:
        self._inner = zstandard.ZstdDecompressor(max_window_size=_MEMORY).decompressobj()
        self._input = b""
        self._output = memoryview(b"")

    @property
    def eof(self) -> bool:
        return self._inner.eof and not self._output

    @property
    def needs_input(self) -> bool:
        return not self._inner.eof and not self._input and not self._output

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data + self._input

    def decompress(self, data: bytes, max_length: int) -> bytes:
        self._input += data
        while not self._output and self._input and not self._inner.eof:
            piece, self._input = self._input[: self._PIECE], self._input[self._PIECE :]
            self._output = memoryview(self._inner.decompress(piece))
        told, self._output = self._output[:max_length], self._output[max_length:]
        return bytes(told)


_ZSTD: Final = Form(b"\x28\xb5\x2f\xfd", _Zstd)
_FORMS: Final = {
    form.magic[:3]: form
    for form in (
        Form(b"\x1f\x8b\x08", lambda: igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)),
        Form(b"BZh", bz2.BZ2Decompressor),
        Form(b"\xfd7zXZ\0", lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_MEMORY)),
        _ZSTD,
    )
}
_BZIP2_BLOCK: Final = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows `BZhN`: a block, or the end of a file without any. Three letters alone are a word of a text."""


def form_of(head: bytes) -> Form | None:
    """Returns how a file that begins so is packed."""
    if head.startswith(_SKIPPABLE):
        return _ZSTD
    form = _FORMS.get(head[:3])
    if form is None or not head.startswith(form.magic):
        return None
    return None if form.magic == b"BZh" and head[4:10] not in _BZIP2_BLOCK else form


class Unpacked:
    """A packed file as it unpacks; several one after the other are one, whatever zeros are between them."""

    def __init__(self, content: bytes, form: Form) -> None:
        """Starts at the beginning."""
        self._content = content
        self._form = form
        self._at = 0
        self._decompressor: _Decompressor | None = None

    def read(self, size: int) -> bytes:
        """Returns so many bytes, fewer at the end.

        Raises:
            EOFError: the file ends before its end.
            OSError, ValueError, lzma.LZMAError, zstandard.ZstdError, isal.isal_zlib.error: it is damaged, or
                asks for more memory than it gets.
        """
        pieces: list[bytes] = []
        while size > 0 and (decompressor := self._running()) is not None:
            data = b""
            if decompressor.needs_input:
                data = self._content[self._at : self._at + _STEP]
                self._at += len(data)
                if not data:
                    raise EOFError
            piece = decompressor.decompress(data, size)
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    @property
    def has_tail(self) -> bool:
        """Whether something else follows what was unpacked to its end."""
        return self._decompressor is None and self._at < len(self._content)

    def _running(self) -> _Decompressor | None:
        """Returns the decompressor that has more to give, or may have; None at the end."""
        if self._decompressor is not None and self._decompressor.eof:
            self._at -= len(self._decompressor.unused_data)
            self._decompressor = None
        if self._decompressor is None:
            self._step_over()
            if not self._content.startswith(self._form.magic, self._at):
                return None
            self._decompressor = self._form.start()
        return self._decompressor

    def _step_over(self) -> None:
        """Passes by zeros, and by what holds nothing."""
        while True:
            if zeros := _ZEROS.match(self._content, self._at):
                self._at = zeros.end()
            if self._form is not _ZSTD or not self._content.startswith(_SKIPPABLE, self._at):
                return
            self._at += 8 + int.from_bytes(self._content[self._at + 4 : self._at + 8], "little")
