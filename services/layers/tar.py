"""Walks a tar archive entry by entry without unpacking it or holding a file of it.

Formats: POSIX.1-2024, pax, section "ustar Interchange Format" and "pax Header Block"; GNU tar manual, "Basic Tar
Format" (long names, base-256 numbers, old sparse files). Where tools disagree it reads as Go's `archive/tar` does,
because that is what unpacks images.
"""

from __future__ import annotations

import enum
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Final, NamedTuple, Protocol

from services.layers.corrupt import corrupt
from services.layers.limits import LayerLimits
from services.layers.numbers import read_number
from services.layers.owned import Owned, read_owned
from services.layers.pax import SILENT, PaxHeader, parse_pax

_BLOCK: Final = 512
_ZERO: Final = bytes(_BLOCK)
_CHECKSUM: Final = slice(148, 156)
_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK, _OLD_SPARSE = b"xgLKS"
_MAX_SIZE: Final = 1 << 62


class EntryKind(enum.Enum):
    """What an entry is, as far as we care."""

    FILE = enum.auto()
    SPARSE_FILE = enum.auto()
    """A file stored with its holes left out: its content is not the file's."""
    DIRECTORY = enum.auto()
    SYMBOLIC_LINK = enum.auto()
    HARD_LINK = enum.auto()
    OTHER = enum.auto()


class TarEntry(NamedTuple):
    """One entry."""

    kind: EntryKind
    path: bytes
    """As written: not normalised."""
    target: bytes
    """Of a link, as written."""
    size: int
    """Bytes of content in the archive."""


class _Extended(NamedTuple):
    """What headers of their own say of the entry that follows them."""

    pax: PaxHeader = SILENT
    name: bytes = b""
    target: bytes = b""


_NOTHING: Final = _Extended()
_FILE: Final = EntryKind.FILE
_KINDS: Final = {
    ord("0"): EntryKind.FILE,
    0: EntryKind.FILE,
    ord("7"): EntryKind.FILE,
    _OLD_SPARSE: EntryKind.SPARSE_FILE,
    ord("1"): EntryKind.HARD_LINK,
    ord("2"): EntryKind.SYMBOLIC_LINK,
    ord("3"): EntryKind.OTHER,
    ord("4"): EntryKind.OTHER,
    ord("5"): EntryKind.DIRECTORY,
    ord("6"): EntryKind.OTHER,
}
_WITHOUT_CONTENT: Final = frozenset(b"123456")
_LINKS: Final = frozenset(b"12")
_EXTENSIONS: Final = frozenset((_PAX, _PAX_GLOBAL, _LONG_NAME, _LONG_LINK))


class TarReader(Protocol):
    """Gives the archive's bytes in order."""

    size: int
    """Bytes given or skipped so far."""

    def next_chunk(self) -> memoryview:
        """Returns whole blocks, fewer bytes only at the end of the archive, none after it."""
        ...

    def skip(self, size: int) -> int:
        """Skips whole blocks of the next `size` bytes, but not the last one; returns how many bytes that was."""
        ...

    def drain(self) -> None:
        """Reads what follows the archive's end, where somebody wants to have seen it."""
        ...


class TarWalker:
    """Iterate over it once; between two entries, `content` reads the present one's file."""

    def __init__(
        self, reader: TarReader, limits: LayerLimits, damaged: Callable[[str], Exception] = corrupt
    ) -> None:
        self._reader = reader
        self._limits = limits
        self._damaged = damaged
        self._chunk = memoryview(b"")
        self._at = 0
        self._end = 0
        self._content_left = 0
        self._padding = 0
        self._present = b""
        self._extension = b""

    def __iter__(self) -> Iterator[TarEntry]:
        """Gives every entry, then lets the reader see what follows the archive's end.

        Raises:
            ScanFailure: LAYER_CORRUPT with the uncompressed offset, or what `damaged` makes of it; whatever the
                reader raises.
        """
        extended = _NOTHING
        while header := self._header():
            size = read_number(header[124:136])
            if size is None or not 0 <= size < _MAX_SIZE:
                raise self._corrupt("has no valid size", _BLOCK)
            if header[156] in _EXTENSIONS:
                extended = self._extended(header[156], size, extended)
                continue
            self._present = header
            yield self._entry(header, size, extended)
            self._skip_rest()
            extended = _NOTHING
            self._extension = b""
        self._reader.drain()

    def content(self) -> bytes:
        """Returns what is left of the present entry's content: read it once, and only if its size is bearable."""
        left = self._content_left
        if left <= self._end - self._at:
            self._content_left = 0
            self._at += left
            return bytes(self._chunk[self._at - left : self._at])
        content = BytesIO()  # to join pieces would hold all of it twice
        for piece in self.pieces():
            content.write(piece)
        return content.getvalue()

    def pieces(self) -> Iterator[memoryview]:
        """Yields what is left of the present entry's content as it passes; each piece is valid until the next."""
        while self._content_left:
            if self._at == self._end:
                self._load_content()
            piece = self._chunk[self._at : min(self._at + self._content_left, self._end)]
            self._at += len(piece)
            self._content_left -= len(piece)
            yield piece

    def peek(self, count: int) -> bytes:
        """Returns the first bytes of the present entry's content, at most 512, if nothing of it was read yet."""
        if self._content_left and self._at == self._end:
            self._load_content()
        at = self._at
        return bytes(self._chunk[at : at + (count if count < self._content_left else self._content_left)])

    @property
    def mode(self) -> int:
        """Permissions of the present entry, with the bits for another's rights; 0 where they are no number."""
        return (read_number(self._present[100:108]) or 0) & 0o7777

    @property
    def flag(self) -> int:
        """The present entry's type as written."""
        return self._present[156]

    @property
    def owned(self) -> Owned:
        """Who owns the present entry and may do what with it.

        Raises:
            ScanFailure: LAYER_CORRUPT, or what `damaged` makes of it.
        """
        try:
            return read_owned(self._present, self._extension)
        except ValueError as error:
            raise self._corrupt(f"belongs to an entry with {error}") from error

    @property
    def offset(self) -> int:
        """Uncompressed bytes behind us."""
        return self._reader.size - self._end + self._at

    def _entry(self, header: bytes, size: int, extended: _Extended) -> TarEntry:
        flag, pax = header[156], extended.pax
        path = pax.sparse_path or extended.name or pax.path or _name(header)
        target = b""
        if flag in _LINKS:
            target = extended.target or pax.target or _until_nul(header[157:257])
        limit = self._limits.path_bytes
        if len(path) > limit or len(target) > limit:
            raise self._corrupt(f"has a name of more than {limit} bytes", _BLOCK)
        if pax.size is not None:
            size = pax.size
        if flag == _OLD_SPARSE:
            self._skip_sparse_map(header)
        kind = _KINDS.get(flag, _FILE)  # as POSIX wants kinds that nobody knows
        if kind is _FILE:
            if pax.sparse:
                kind = EntryKind.SPARSE_FILE
            elif flag == 0 and path.endswith(b"/"):
                kind = EntryKind.DIRECTORY
        elif flag in _WITHOUT_CONTENT:
            size = 0
        self._content_left = size
        self._padding = -size % _BLOCK
        return TarEntry(kind, path, target, size)

    def _header(self) -> bytes | None:
        """Returns the next header, None at the end of the archive."""
        block = self._block()
        if block is None or block == _ZERO:
            following = self._block() if block else None
            if following is not None and following != _ZERO:
                raise self._corrupt("follows a single block of zeros", _BLOCK)
            return None
        field = block[_CHECKSUM]
        written = read_number(field)
        # The low half of Adler-32 is 1 plus the sum of the bytes, modulo 65521: the checksum at C speed. It counts
        # its own field as eight spaces.
        total = (zlib.adler32(block) & 0xFFFF) - (zlib.adler32(field) & 0xFFFF) + 8 * 0x20
        if written is None or ((total - written) % 65521 and _signed_sum(block) != written):
            raise self._corrupt("is no tar header (its checksum is wrong)", _BLOCK)
        return block

    def _block(self) -> bytes | None:
        """Returns 512 bytes; None at the end of the file."""
        at = self._at
        if at == self._end:
            if not self._load():
                return None
            at = 0
        self._at = end = at + _BLOCK
        if end > self._end:
            # Chunks are a multiple of 512 bytes long and so is all that was read before: this is the file's end.
            self._at = at
            raise self._corrupt("is cut off: the archive ends within it")
        return bytes(self._chunk[at:end])

    def _load(self) -> bool:
        self._chunk = self._reader.next_chunk()
        self._at, self._end = 0, len(self._chunk)
        return self._end > 0

    def _load_content(self) -> None:
        if not self._load():
            left = self._content_left
            raise self._corrupt(f"is missing: the archive ends {left} bytes before its entry does")

    def _skip_rest(self) -> None:
        end = self._at + self._content_left + self._padding
        if end <= self._end:
            self._at = end
            return
        while self._content_left > self._end - self._at:
            self._content_left -= self._end - self._at
            self._content_left -= self._reader.skip(self._content_left)
            self._load_content()
        self._at += self._content_left
        self._skip_padding()

    def _skip_padding(self) -> None:
        """Padding never reaches into another chunk; missing at the very end, it is not missed."""
        at = self._at + self._padding
        self._at = at if at < self._end else self._end

    def _extended(self, flag: int, size: int, extended: _Extended) -> _Extended:
        """Reads a header that speaks of the next entry; global ones speak of none, as Go reads them."""
        limit = self._limits.header_bytes
        if size > limit:
            raise self._corrupt(f"is an extended header of {size} bytes, more than {limit}", _BLOCK)
        self._content_left, self._padding = size, -size % _BLOCK
        content = self.content()
        self._skip_padding()
        if flag == _PAX:
            pax = self._pax(content)
            self._extension = content
            return extended if pax is extended.pax else extended._replace(pax=pax)
        if flag == _LONG_NAME:
            return extended._replace(name=_until_nul(content))
        if flag == _LONG_LINK:
            return extended._replace(target=_until_nul(content))
        return extended

    def _pax(self, extension: bytes) -> PaxHeader:
        try:
            return parse_pax(extension)
        except ValueError as error:
            raise self._corrupt(f"ends a broken pax header ({error})") from error

    def _skip_sparse_map(self, header: bytes) -> None:
        more = header[482]
        while more:
            block = self._block()
            if block is None:
                raise self._corrupt("is missing: the archive ends within the map of a sparse file")
            more = block[504]

    def _corrupt(self, what: str, back: int = 0) -> Exception:
        return self._damaged(f"what stands at byte {self.offset - back} of its uncompressed tar {what}")


def _signed_sum(block: bytes) -> int:
    """Returns the checksum as some old tars computed it: over signed bytes."""
    return sum(byte - 256 if byte > 127 else byte for byte in block) + 8 * 0x20 - _signed(block[_CHECKSUM])


def _signed(field: bytes) -> int:
    return sum(byte - 256 if byte > 127 else byte for byte in field)


def _name(header: bytes) -> bytes:
    name = _until_nul(header[:100])
    if header[345] and header[257:263] == b"ustar\0":
        length = 131 if header[508:512] == b"tar\0" else 155
        return _until_nul(header[345 : 345 + length]) + b"/" + name
    return name


def _until_nul(field: bytes) -> bytes:
    end = field.find(0)
    return field if end < 0 else field[:end]
