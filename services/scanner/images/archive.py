"""The files of a tar archive: found in one pass over its headers, read where they lie; nothing is unpacked."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import posixpath
import stat
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

from services.kernel.blocking import acquire_in_thread
from services.kernel.model.reference import ArchiveKind
from services.kernel.reasons import Reason, ScanFailure
from services.layers.limits import LayerLimits
from services.layers.paths import clean
from services.layers.tar import EntryKind, TarEntry, TarWalker
from services.scanner.images.files import Absent, Files, OpenFile

_CHUNK_BYTES: Final = 4 << 10
_MEMBERS: Final = 100_000
_HEADER_BYTES: Final = 512 << 20
"""What is read of headers, and of what lies beside them, in all."""
_LIMITS: Final = LayerLimits(path_bytes=1 << 10, header_bytes=64 << 10)
_LINKS_FOLLOWED: Final = 8
_COMPRESSED: Final = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
_HINTS: Final = {
    ArchiveKind.OCI: "An OCI image layout holds oci-layout; what `docker save` writes is docker-archive:FILE.",
    ArchiveKind.DOCKER: "What `docker save` writes holds manifest.json; an OCI image layout is oci-archive:FILE.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    kind: EntryKind
    target: str | None
    """Of a link: the path from the root; None when it leads out of the archive."""
    start: int
    size: int
    again: bool
    """True when the archive holds several of that name."""


class Archive(Files):
    """The files of an open tar archive. Its bytes stay where they are."""

    def __init__(self, path: Path, kind: ArchiveKind, descriptor: int, members: Mapping[str, _Member]) -> None:
        self.title = f"archive {path}"
        self.hint = _HINTS[kind]
        self._descriptor = descriptor
        self._members = members

    def open(self, path: str) -> OpenFile:
        """Opens a regular file of the archive, through links that stay inside it.

        Raises:
            Absent: there is none.
            ScanFailure: ARCHIVE_INVALID.
        """
        member = self._find(path)
        return OpenFile(os.dup(self._descriptor), start=member.start, size=member.size)

    def position(self, path: str) -> int:
        """Returns where in the archive a file begins: two paths with one position are one file.

        Raises:
            Absent, ScanFailure: as `open`.
        """
        return self._find(path).start

    def close(self) -> None:
        """Closes the archive; files that are open stay so."""
        os.close(self._descriptor)

    def _find(self, path: str) -> _Member:
        at = _cleaned(path)
        for _ in range(_LINKS_FOLLOWED):
            if at is None:
                raise invalid(self.title, f"{path[:160]!r} leads out of it")
            member = self._members.get(at)
            if member is None:
                raise Absent(path)
            if member.again:
                # Programs disagree about which of them counts: what we scanned might not be what is run.
                raise invalid(self.title, f"it holds {at[:160]!r} more than once")
            if member.kind is EntryKind.FILE:
                return member
            if member.kind is EntryKind.SPARSE_FILE:
                raise invalid(self.title, f"{at[:160]!r} is stored as a sparse file, with its holes left out")
            if member.kind not in (EntryKind.SYMBOLIC_LINK, EntryKind.HARD_LINK):
                raise invalid(self.title, f"{at[:160]!r} is no regular file")
            at = member.target
        raise invalid(self.title, f"{path[:160]!r} leads through more than {_LINKS_FOLLOWED} links")


def invalid(title: str, what: str, hint: str = "") -> ScanFailure:
    """The failure of an archive that cannot be read."""
    return ScanFailure(Reason.ARCHIVE_INVALID, f"The {title} cannot be read: {what}.", hint=hint)


@contextlib.asynccontextmanager
async def open_archive(path: Path, kind: ArchiveKind) -> AsyncIterator[Archive]:
    """Opens an archive for the time of the block, and reads its headers.

    Raises:
        ScanFailure: IMAGE_NOT_FOUND when there is no such file, ARCHIVE_INVALID when it is no tar archive.
    """
    archive = await acquire_in_thread(lambda: _open(path, kind), undo=lambda opened: opened.close())
    try:
        yield archive
    finally:
        archive.close()


def _open(path: Path, kind: ArchiveKind) -> Archive:
    title = f"archive {path}"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        why = "is not there" if isinstance(error, FileNotFoundError | NotADirectoryError) else "cannot be opened"
        raise ScanFailure(Reason.IMAGE_NOT_FOUND, f"The {title} {why}.", hint=_HINTS[kind]) from error
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, descriptor)
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise invalid(title, "it is no regular file", "Save it to a file: it is read in no fixed order.")
        try:
            members = _index(title, descriptor, status.st_size)
        except OSError as error:
            raise invalid(title, "the disk fails") from error
        undo.pop_all()
        return Archive(path, kind, descriptor, members)


def _index(title: str, descriptor: int, size: int) -> dict[str, _Member]:
    magic = os.pread(descriptor, 8, 0)
    for beginning, name in _COMPRESSED.items():
        if magic.startswith(beginning):
            hint = "Uncompress it first, with gunzip or its like: parts of it are read where they lie."
            raise invalid(title, f"it is compressed with {name}", hint)
    walker = TarWalker(_Headers(title, descriptor, size), _LIMITS, lambda what: invalid(title, what))
    members: dict[str, _Member] = {}
    for count, entry in enumerate(walker):
        if count == _MEMBERS:
            raise invalid(title, f"it holds more than {_MEMBERS:,} files")
        path = clean(entry.path)
        # What lies outside cannot be asked for.
        if path is None:
            continue
        name = os.fsdecode(path)
        again = name in members and not (entry.kind is members[name].kind is EntryKind.DIRECTORY)
        members[name] = _Member(entry.kind, _target(name, entry), walker.offset, entry.size, again)
    return members


class _Headers:
    """Reads the headers of a tar archive and passes over what is in it."""

    def __init__(self, title: str, descriptor: int, file_size: int) -> None:
        self._title = title
        self._descriptor = descriptor
        self._file_size = file_size
        self._read = 0
        self.size = 0

    def next_chunk(self) -> memoryview:
        """Returns the next few blocks.

        Raises:
            ScanFailure: ARCHIVE_INVALID, when so much has been read that this can be no archive of images.
        """
        content = os.pread(self._descriptor, _CHUNK_BYTES, self.size)
        self.size += len(content)
        self._read += len(content)
        if self._read > _HEADER_BYTES:
            raise invalid(self._title, f"its headers have more than {_HEADER_BYTES:,} bytes")
        return memoryview(content)

    def skip(self, size: int) -> int:
        """Passes over all whole blocks but the last."""
        whole = min((size - 1) // 512 * 512, max(self._file_size - self.size, 0))
        self.size += whole
        return whole

    def drain(self) -> None:
        """Leaves what follows the archive's end alone."""


def _target(name: str, entry: TarEntry) -> str | None:
    if entry.kind is EntryKind.HARD_LINK:
        return _cleaned(os.fsdecode(entry.target))
    if entry.kind is not EntryKind.SYMBOLIC_LINK:
        return ""
    target = os.fsdecode(entry.target)
    return None if target.startswith("/") else _cleaned(posixpath.join(posixpath.dirname(name), target))


def _cleaned(path: str) -> str | None:
    """Returns the one spelling of a path from the root; None when it leads out."""
    cleaned = clean(os.fsencode(path))
    return None if cleaned is None else os.fsdecode(cleaned)
