"""A package file: its control files and the files that it brings (deb(5))."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

import zstandard

from services.fixer.failure import FixFailure, FixReason
from services.fixer.image.node import NodeKind
from services.fixer.systems.dpkg.control import Stanza, decode, parse_stanza

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGIC: Final = b"!<arch>\n"
_HEADER: Final = 60
_MAX_CONTROL: Final = 64 << 20
_MAX_DATA: Final = 16 << 30
_MAX_ENTRIES: Final = 500_000
_MAX_MEMBERS: Final = 32
_MAX_WINDOW: Final = 128 << 20
_KINDS: Final = {
    tarfile.REGTYPE: NodeKind.FILE,
    tarfile.AREGTYPE: NodeKind.FILE,
    tarfile.CONTTYPE: NodeKind.FILE,
    tarfile.DIRTYPE: NodeKind.DIRECTORY,
    tarfile.SYMTYPE: NodeKind.SYMBOLIC_LINK,
    tarfile.CHRTYPE: NodeKind.CHARACTER_DEVICE,
    tarfile.BLKTYPE: NodeKind.BLOCK_DEVICE,
    tarfile.FIFOTYPE: NodeKind.FIFO,
}
_DAMAGED: Final = (
    tarfile.TarError,
    lzma.LZMAError,
    gzip.BadGzipFile,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    ValueError,
    UnicodeError,
)


@dataclasses.dataclass(frozen=True, slots=True)
class ControlFile:
    """A file of the control archive."""

    content: bytes
    mode: int
    mtime: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file that a package brings."""

    path: str
    """Relative, without leading or trailing slash; empty of the root."""
    kind: NodeKind
    hard_link: str | None
    """Path of another file of the package that this is one more name of."""
    target: str
    """Of a symbolic link, as written."""
    mode: int
    user: str
    group: str
    uid: int
    gid: int
    mtime: int
    size: int
    device: tuple[int, int]
    content: BinaryIO | None
    """Of a file; to be read before the next entry is asked for."""


class Deb:
    """A package file; its members are found at once, and read when they are asked for."""

    def __init__(self, path: Path) -> None:
        """Opens it.

        Raises:
            FixFailure: PACKAGE_INVALID.
        """
        self._path = path
        with self._sound(), path.open("rb") as file:
            self._members = _members(file)
            self.files = self._control()
            if "control" not in self.files:
                raise ValueError("it has no control file")
            self.control: Stanza = parse_stanza(decode(self.files["control"].content).strip("\n"))
        self.conffiles = self._conffiles()

    def entries(self) -> Iterator[Entry]:
        """Yields the files in dpkg's order: the archive's, with the symbolic links last (lib/dpkg/tarfn.c).

        Raises:
            FixFailure: PACKAGE_INVALID.
        """
        links: list[Entry] = []
        with self._sound(), self._archive("data.tar", _MAX_DATA) as archive:
            for number, info in enumerate(archive):
                if number >= _MAX_ENTRIES:
                    raise ValueError(f"it has more than {_MAX_ENTRIES} files")
                entry = _entry(info, archive)
                if entry.kind is NodeKind.SYMBOLIC_LINK:
                    links.append(entry)
                else:
                    yield entry
        yield from links

    def invalid(self, what: str) -> FixFailure:
        """Returns PACKAGE_INVALID."""
        return _invalid(self._path, what)

    def _control(self) -> dict[str, ControlFile]:
        files: dict[str, ControlFile] = {}
        with self._archive("control.tar", _MAX_CONTROL) as archive:
            for info in archive:
                name = info.name.removeprefix("./")
                if not info.isfile() or "/" in name or not name:
                    continue
                content = cast("BinaryIO", archive.extractfile(info)).read()
                files[name] = ControlFile(content, info.mode & 0o7777, _whole(info.mtime))
        return files

    def _conffiles(self) -> tuple[str, ...]:
        """Returns the paths of configuration files, with their leading slash, in the package's order."""
        if "conffiles" not in self.files:
            return ()
        lines = decode(self.files["conffiles"].content).splitlines()
        return tuple(line.strip() for line in lines if line.strip())

    @contextmanager
    def _archive(self, name: str, limit: int) -> Iterator[tarfile.TarFile]:
        for member, (offset, size) in self._members.items():
            ending = member.removeprefix(name)
            if ending == member and member != name:
                continue
            with self._path.open("rb") as file, _decompressed(_Part(file, offset, size), ending) as stream:
                bounded = cast("BinaryIO", _Bounded(stream, limit))
                with tarfile.open(
                    fileobj=bounded, mode="r|", encoding="utf-8", errors="surrogateescape"
                ) as archive:
                    yield archive
            return
        raise ValueError(f"it has no {name}")

    @contextmanager
    def _sound(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGED as error:
            raise _invalid(self._path, str(error)[:200]) from error


def _invalid(path: Path, what: str) -> FixFailure:
    return FixFailure(
        FixReason.PACKAGE_INVALID, f"A package cannot be unpacked: {what}.", metadata={"file": path.name}
    )


def _members(file: BinaryIO) -> dict[str, tuple[int, int]]:
    """Finds the members of the archive (ar(5)): offset and size by name."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise ValueError("it is no package file")
    end = file.seek(0, io.SEEK_END)
    at, found = len(_MAGIC), dict[str, tuple[int, int]]()
    while at + _HEADER <= end:
        file.seek(at)
        header = file.read(_HEADER)
        digits = header[48:58].strip()
        if header[58:] != b"`\n" or not digits.isdigit():
            raise ValueError(f"its member at byte {at} has no header")
        name, size = header[:16].decode("ascii", "replace").strip().rstrip("/"), int(digits)
        at += _HEADER
        if at + size > end:
            raise ValueError(f"its member {name} is cut off")
        if name in found or len(found) >= _MAX_MEMBERS:
            raise ValueError(f"its member {name} is one too many")
        found[name] = (at, size)
        at += size + size % 2
    if next(iter(found), "") != "debian-binary":
        raise ValueError("it does not begin as a package does")
    return found


def _entry(info: tarfile.TarInfo, archive: tarfile.TarFile) -> Entry:
    hard_link = _path(info.linkname) if info.islnk() else None
    kind = NodeKind.FILE if hard_link is not None else _KINDS.get(info.type)
    if kind is None:
        raise ValueError(f"{info.name[:200]!r} is of a kind that packages do not have")
    is_file = kind is NodeKind.FILE and hard_link is None
    return Entry(
        path=_path(info.name),
        kind=kind,
        hard_link=hard_link,
        target=info.linkname if kind is NodeKind.SYMBOLIC_LINK else "",
        mode=info.mode & 0o7777,
        user=info.uname,
        group=info.gname,
        uid=info.uid,
        gid=info.gid,
        mtime=_whole(info.mtime),
        size=info.size if is_file else 0,
        device=(info.devmajor, info.devminor),
        content=cast("BinaryIO", archive.extractfile(info)) if is_file else None,
    )


def _path(name: str) -> str:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or any(char in name for char in "\n\0"):
        raise ValueError(f"{name[:200]!r} is no path that a package may have")
    return "/".join(parts)


def _whole(mtime: float) -> int:
    return max(0, int(mtime))


@contextmanager
def _decompressed(part: io.RawIOBase, ending: str) -> Iterator[BinaryIO]:
    buffered = io.BufferedReader(part, 1 << 18)
    opened: dict[str, Callable[[], object]] = {
        "": lambda: buffered,
        ".gz": lambda: gzip.GzipFile(fileobj=buffered),
        ".xz": lambda: lzma.open(buffered),  # noqa: SIM115 - closed beneath
        ".lzma": lambda: lzma.open(buffered, format=lzma.FORMAT_ALONE),  # noqa: SIM115 - as above
        ".bz2": lambda: bz2.BZ2File(buffered),
        ".zst": lambda: zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW).stream_reader(
            buffered, read_across_frames=True
        ),
    }
    if ending not in opened:
        raise ValueError(f"it is compressed as {ending[:20]!r}, which is not known here")
    with cast("BinaryIO", opened[ending]()) as stream:
        yield stream


class _Part(io.RawIOBase):
    """A piece of a file, read from its beginning to its end."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        file.seek(offset)
        self._file = file
        self._left = size

    def readable(self) -> bool:
        return True

    def readinto(self, into: WriteableBuffer, /) -> int:
        view = memoryview(into)
        got = self._file.read(min(len(view), self._left))
        view[: len(got)] = got
        self._left -= len(got)
        return len(got)


class _Bounded:
    """Counts what comes out of a decompressor."""

    def __init__(self, stream: BinaryIO, limit: int) -> None:
        self._stream = stream
        self._left = limit

    def read(self, size: int = -1) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it unpacks to more than a package may")
        return content
