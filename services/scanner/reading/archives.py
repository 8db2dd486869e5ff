"""Archives: what lies in zip, tar and packed files, a bounded part of it, whatever they claim to be."""

from __future__ import annotations

import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from typing import IO, Final, NamedTuple, cast

import zstandard
from isal import isal_zlib

from services.scanner.reading.packed import Form, Unpacked, form_of
from services.scanner.reading.zips import Budget, Zip, ZipBroken

_ZIP: Final = b"PK\x03\x04"
_TAR: Final = slice(257, 262)
HEAD_BYTES: Final = 512
"""By so many bytes an archive is told."""
_UTF_8: Final = 0x800
"""Flag of a zip's entry whose name is UTF-8; the others are in the code page of the first PCs."""
_DAMAGE: Final = (
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    zstandard.ZstdError,
    struct.error,
    cast("type[Exception]", isal_zlib.error),  # its stub takes the class for an instance
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
    OverflowError,
    LookupError,
)
"""What the libraries raise on bytes that are no such archive, or on one that they cannot read."""


class Bounds(NamedTuple):
    """How much of an archive is looked at."""

    depth: int
    """Archives within archives."""
    members: int
    member_bytes: int
    total_bytes: int
    """Of all that the archive holds, unpacked."""


class Member(NamedTuple):
    """A file of an archive."""

    name: str
    content: bytes


class Skipped(NamedTuple):
    """Something of an archive that was not looked at, and why."""

    name: str
    why: str


def is_archive(head: bytes) -> bool:
    """Tells by its first 512 bytes whether a file is an archive that is understood."""
    return head[:4] == _ZIP or form_of(head) is not None or head[_TAR] == b"ustar"


class Opened:
    """One archive that is looked at."""

    def __init__(self, bounds: Bounds) -> None:
        """Starts with nothing unpacked."""
        self._bounds = bounds
        self._budget = Budget(entries=bounds.members, bytes_=bounds.total_bytes)

    @property
    def unpacked(self) -> int:
        """Bytes unpacked so far, those too that nobody got to see."""
        return self._bounds.total_bytes - max(self._budget.bytes, 0)

    def members(self, content: bytes, where: str = "", depth: int = 1) -> Iterator[Member | Skipped]:
        """Yields the files of an archive, in its order, each before those of an archive that it is itself.

        Never raises on any bytes. `where` and `depth` are of an archive within others.
        """
        try:
            if content[:4] == _ZIP:
                several = self._zip(content)
            elif (form := form_of(content[:HEAD_BYTES])) is not None:
                several = self._packed(content, form)
            else:
                several = self._tar(io.BytesIO(content))
            for item in several:
                name = f"{where}{item.name}"
                if isinstance(item, Skipped):
                    yield Skipped(name, item.why)
                    continue
                yield Member(name, item.content)
                if not is_archive(item.content[:HEAD_BYTES]):
                    continue
                if depth < self._bounds.depth:
                    yield from self.members(item.content, f"{name}!", depth + 1)
                else:
                    yield Skipped(name, f"it is an archive within {depth} others")
        except _Spent as spent:
            yield Skipped(where.removesuffix("!"), str(spent))
        except ZipBroken as error:
            yield Skipped(where.removesuffix("!"), f"it {error}")
        except _DAMAGE:
            yield Skipped(where.removesuffix("!"), "it is damaged, or of a kind that is not understood")

    def _zip(self, content: bytes) -> Iterator[Member | Skipped]:
        archive = Zip(memoryview(content))
        for entry in archive.entries(self._budget):
            if not entry.packed:
                continue
            name = entry.name.decode("utf-8" if entry.flags & _UTF_8 else "cp437", "replace")
            try:
                unpacked = archive.read(entry, self._bounds.member_bytes, self._budget)
            except ZipBroken as error:
                if not self._budget.bytes:
                    raise self._spent() from error
                yield Skipped(name, f"it {error}")
                continue
            if unpacked:
                yield Member(name, bytes(unpacked))

    def _packed(self, content: bytes, form: Form) -> Iterator[Member | Skipped]:
        unpacked = Unpacked(content, form)
        head = unpacked.read(HEAD_BYTES)
        if head[_TAR] == b"ustar":
            stream = _Stream(head, unpacked, self._budget.bytes)
            try:
                yield from self._tar(stream)
            finally:
                self._budget.bytes = min(self._budget.bytes, max(stream.left, 0))
        else:
            self._count()
            most = min(self._bounds.member_bytes, self._budget.bytes) + 1
            yield self._bounded("", head[:most] + unpacked.read(most - len(head)))
        if unpacked.has_tail:
            yield Skipped("", "what follows its end was not looked at")

    def _tar(self, file: IO[bytes]) -> Iterator[Member | Skipped]:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for entry in archive:
                archive.members = []  # type: ignore[attr-defined] # it would keep all that it saw
                if not entry.isreg() or not entry.size:
                    continue
                self._count()
                content = archive.extractfile(entry)
                if content is not None:
                    yield self._read(entry.name, content)

    def _read(self, name: str, file: IO[bytes]) -> Member | Skipped:
        return self._bounded(name, file.read(min(self._bounds.member_bytes, self._budget.bytes) + 1))

    def _bounded(self, name: str, content: bytes) -> Member | Skipped:
        if len(content) > self._budget.bytes:
            self._budget.bytes = 0
            raise self._spent()
        self._budget.bytes -= len(content)
        if len(content) > self._bounds.member_bytes:
            return Skipped(name, f"it unpacks to more than {self._bounds.member_bytes} bytes")
        return Member(name, content)

    def _count(self) -> None:
        self._budget.entries -= 1
        if self._budget.entries < 0:
            raise _Spent(f"it has more than {self._bounds.members} files")

    def _spent(self) -> _Spent:
        return _Spent(f"it unpacks to more than the {self._bounds.total_bytes} bytes that are left for it")


class _Stream(io.BytesIO):
    """A packed file whose beginning was read, so that nobody holds all of it."""

    def __init__(self, head: bytes, unpacked: Unpacked, most: int) -> None:
        super().__init__()
        self._head = head
        self._unpacked = unpacked
        self._most = most
        self.left = most

    def read(self, size: int | None = -1, /) -> bytes:
        """Returns so many bytes, fewer at the end."""
        size = self._most if size is None or size < 0 else size
        first, self._head = self._head[:size], self._head[size:]
        told = first + self._unpacked.read(size - len(first))
        self.left -= len(told)
        if self.left < 0:
            raise _Spent(f"it unpacks to more than the {self._most} bytes that are left for it")
        return told


class _Spent(Exception):
    """A bound of the archive as a whole was reached."""
