"""What an apk package is known by: its parts, and the hash that a signed index has of it (apk-package(5)).

A package of format 2 is three gzip members, each a tar archive: signatures, control, data. An index names the
SHA-1 of the control member as it is stored, and that member names the SHA-256 of the data (`datahash`): with both,
every byte but those of the signatures is known. It is verified as that, under the name `apk1`
(`Expected.checksum`), because no index has a hash of the file as a whole.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

ALGORITHM: Final = "apk1"
MAX_CONTROL_BYTES: Final = 16 << 20
"""Unpacked: scripts and `.PKGINFO`; those of the largest packages have 0.2 MB."""
_MAX_STORED: Final = 4 << 20
_MAX_MEMBERS: Final = 4
_CHUNK: Final = 1 << 16
_GZIP: Final = b"\x1f\x8b"
_ADB: Final = b"ADB"
_DATAHASH: Final = re.compile(rb"^datahash = ([0-9a-f]{64})$", re.MULTILINE)


class NotAnApk(Exception):
    """Its bytes are no package of format 2: the message says why, as the end of a sentence about it."""


class _CutOff(NotAnApk):
    """More bytes may make one of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One gzip member: its bytes as stored, and unpacked."""

    stored: bytes
    plain: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What lies in a package, its data not read yet."""

    control: dict[str, bytes]
    """Files of the control member by name: `.PKGINFO`, `.post-upgrade`."""
    control_sha1: str
    datahash: str
    data_offset: int
    """Where in the file the data member begins."""


def members(file: BinaryIO, at_most: int) -> Iterator[Member]:
    """Yields the gzip members at the beginning of a file, bounded; the file stands behind each one.

    Raises:
        NotAnApk: something else is there, or one that is cut off or larger than `at_most` unpacked.
    """
    while True:
        start = file.tell()
        magic = file.read(len(_ADB))
        file.seek(start)
        if not magic:
            return
        if len(magic) < len(_ADB):
            raise _CutOff("is cut off")
        if magic == _ADB:
            raise NotAnApk("is of apk 3's format (ADB), which is not read here yet")
        if not magic.startswith(_GZIP):
            raise NotAnApk("has something that is no gzip member")
        yield _member(file, start, at_most)


def _member(file: BinaryIO, start: int, at_most: int) -> Member:
    unpacker, stored, plain = zlib.decompressobj(wbits=31), io.BytesIO(), bytearray()
    try:
        while not unpacker.eof:
            chunk = unpacker.unconsumed_tail or file.read(_CHUNK)
            if not chunk:
                raise _CutOff("is cut off")
            if not unpacker.unconsumed_tail:
                stored.write(chunk)
            plain += unpacker.decompress(chunk, at_most + 1 - len(plain))
            if len(plain) > at_most:
                raise NotAnApk(f"has a part of more than {at_most} bytes")
    except zlib.error as error:
        raise NotAnApk("has a damaged gzip member") from error
    size = stored.tell() - len(unpacker.unused_data)
    file.seek(start + size)
    return Member(stored.getvalue()[:size], bytes(plain))


def parts_of(file: BinaryIO) -> Parts:
    """Reads signatures and control, and leaves the file at its data.

    Raises:
        NotAnApk: one of them is not what it must be.
    """
    for number, member in enumerate(members(file, MAX_CONTROL_BYTES)):
        files = tar_files(member.plain)
        if files and all(name.startswith(".SIGN.") for name in files):
            if number + 1 == _MAX_MEMBERS:
                break
            continue
        found = _DATAHASH.findall(files.get(".PKGINFO", b""))
        if len(found) != 1:
            raise NotAnApk("has no .PKGINFO with one hash of its data")
        return Parts(
            control=files,
            control_sha1=hashlib.sha1(member.stored, usedforsecurity=False).hexdigest(),
            datahash=found[0].decode("ascii"),
            data_offset=file.tell(),
        )
    raise _CutOff("has no control part")


def tar_files(plain: bytes) -> dict[str, bytes]:
    """Returns the files of a small archive by name; the first of two with one name, as apk takes the first.

    Raises:
        NotAnApk: it is none.
    """
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
            for entry in archive:
                content = archive.extractfile(entry) if entry.isreg() else None
                if content is not None:
                    files.setdefault(entry.name, content.read())
    except (tarfile.TarError, ValueError, OverflowError, EOFError) as error:
        raise NotAnApk("has a part that is no tar archive") from error
    return files


class ApkHash:
    """Hashes a package as it comes: the SHA-1 of its control member, where its data is what that says."""

    digest_size: Final = 20

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self._head = bytearray()
        self._parts: Parts | None = None
        self._why: NotAnApk = _CutOff("is cut off")
        self._data = hashlib.sha256()

    def update(self, chunk: bytes | bytearray | memoryview, /) -> None:
        """Takes the next bytes."""
        if self._parts is not None:
            self._data.update(chunk)
        elif isinstance(self._why, _CutOff) and len(self._head) <= _MAX_STORED:
            self._head += chunk
            self._begin()

    def hexdigest(self) -> str:
        """Returns the hash; empty of what is no package, or has other data."""
        try:
            return self.identity()
        except NotAnApk:
            return ""

    def identity(self) -> str:
        """Returns the same.

        Raises:
            NotAnApk: it is no package, or its data is not what its control says.
        """
        if self._parts is None:
            raise self._why
        if self._data.hexdigest() != self._parts.datahash:
            raise NotAnApk("has data of another hash than its control part says")
        return self._parts.control_sha1

    def _begin(self) -> None:
        """Reads the parts before the data, once they are all there."""
        file = io.BytesIO(self._head)
        try:
            self._parts = parts_of(file)
        except NotAnApk as error:
            self._why = error
        else:
            self._data.update(file.read())
            self._head.clear()


def apk_identity(path: Path) -> str:
    """Returns the hash of a package on disk.

    Raises:
        NotAnApk: it is no package, or its data is not what its control says.
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        seen = ApkHash()
        while chunk := file.read(_CHUNK):
            seen.update(chunk)
    return seen.identity()
