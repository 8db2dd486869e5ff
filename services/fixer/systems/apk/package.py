"""A package file: its control part, verified, and its data, entry by entry (apk-package(5))."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Candidate
from services.fixer.repositories.apk_identity import ALGORITHM, NotAnApk, apk_identity, parts_of
from services.fixer.systems.apk.database import Acl
from services.fixer.systems.apk.scripts import KINDS

MAX_DATA_BYTES: Final = 8 << 30
MAX_ENTRIES: Final = 400_000
_CHUNK: Final = 1 << 18
_MAX_PATH: Final = 4_000
_XATTR: Final = "SCHILY.xattr."
_SHA1: Final = "APK-TOOLS.checksum.SHA1"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Control:
    """What a package says of itself."""

    info: Mapping[str, tuple[str, ...]]
    """Lines of `.PKGINFO` by key, in their order."""
    scripts: Mapping[str, bytes]
    """By kind: `post-upgrade`."""
    data_offset: int

    def words(self, key: str) -> tuple[str, ...]:
        """Returns all words of a key."""
        return tuple(word for line in self.info.get(key, ()) for word in line.split())

    @property
    def triggers(self) -> tuple[str, ...]:
        """Folders whose change its trigger waits for."""
        return self.words("triggers")

    @property
    def replaces(self) -> str:
        """As the database has it."""
        return " ".join(self.words("replaces"))

    @property
    def replaces_priority(self) -> int:
        """Which of two packages that replace each other's files has them."""
        said = self.words("replaces_priority")
        return int(said[0]) if said and said[0].isdecimal() and len(said[0]) < 10 else 0


@dataclasses.dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a package's data."""

    path: str
    info: tarfile.TarInfo
    xattrs: Mapping[str, bytes]
    digest: str
    """As the database has it: `Q1…`; empty where the package gives none."""

    def acl(self, uid: int, gid: int) -> Acl:
        """Returns what the database says of it, whose owner has these numbers in the image."""
        return Acl(uid, gid, self.info.mode & 0o7777, _xattr_digest(self.xattrs))


def open_control(path: Path, candidate: Candidate) -> Control:
    """Reads the control part of a package once every byte of it is held against the index.

    Raises:
        FixFailure: PACKAGE_TAMPERED, PACKAGE_INVALID.
    """
    label = f"{candidate.name} {candidate.version}"
    try:
        identity = apk_identity(path)
        with path.open("rb") as file:
            parts = parts_of(file)
    except NotAnApk as error:
        raise FixFailure(FixReason.PACKAGE_TAMPERED, f"The package {label} {error}.") from error
    if candidate.checksum != f"{ALGORITHM}:{identity}" or parts.control_sha1 != identity:
        raise FixFailure(FixReason.PACKAGE_TAMPERED, f"The package {label} is not the one that the index has.")
    info = _info(parts.control[".PKGINFO"])
    if info.get("pkgname") != (candidate.name,) or info.get("pkgver") != (candidate.version,):
        raise invalid(label, "says that it is another one")
    scripts = {kind: parts.control[f".{kind}"] for kind in KINDS if f".{kind}" in parts.control}
    return Control(info=info, scripts=scripts, data_offset=parts.data_offset)


def invalid(label: str, what: str) -> FixFailure:
    """Returns the failure for a package of which something is said: the end of a sentence."""
    return FixFailure(FixReason.PACKAGE_INVALID, f"The package {label} {what}.")


@contextlib.contextmanager
def open_data(path: Path, control: Control, label: str) -> Iterator[Iterator[tuple[Entry, BinaryIO | None]]]:
    """Opens a package's data: its entries in order, each with its content, to be read before the next one.

    Raises:
        FixFailure: PACKAGE_INVALID.
    """
    with path.open("rb") as file:
        file.seek(control.data_offset)
        try:
            with tarfile.open(fileobj=_Unpacked(file), mode="r|", bufsize=_CHUNK) as archive:
                yield _entries(archive, label)
        except (tarfile.TarError, zlib.error, EOFError) as error:
            raise invalid(label, "cannot be unpacked") from error


def _entries(archive: tarfile.TarFile, label: str) -> Iterator[tuple[Entry, BinaryIO | None]]:
    for number, info in enumerate(archive):
        if number == MAX_ENTRIES:
            raise invalid(label, f"has more than {MAX_ENTRIES} files")
        path = info.name.rstrip("/")
        if path in ("", "."):
            continue
        if not _is_safe(path):
            raise invalid(label, f"has a file that leads elsewhere: {path[:120]!r}")
        content = archive.extractfile(info) if info.isreg() else None
        yield Entry(path, info, _xattrs(info), _digest(info)), content  # type: ignore[misc]  # IO[bytes] reads as BinaryIO
        archive.members.clear()  # type: ignore[attr-defined]  # else every entry is kept until the end


def _is_safe(path: str) -> bool:
    parts = path.split("/")
    return (
        len(path) <= _MAX_PATH
        and not any(part in ("", ".", "..") or part.startswith(".wh.") for part in parts)
        and not any(ord(each) < 0x20 or ord(each) == 0x7F for each in path)
    )


def _info(text: bytes) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        key, equals, value = line.partition(" = ")
        if equals and not key.startswith("#"):
            found.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in found.items()}


def _xattrs(info: tarfile.TarInfo) -> dict[str, bytes]:
    return {
        key.removeprefix(_XATTR): value.encode("utf-8", "surrogateescape")
        for key, value in info.pax_headers.items()
        if key.startswith(_XATTR)
    }


def _digest(info: tarfile.TarInfo) -> str:
    said = info.pax_headers.get(_SHA1, "")
    if said.startswith("Q1"):
        return said
    try:
        return f"Q1{base64.b64encode(bytes.fromhex(said)).decode('ascii')}" if said else ""
    except ValueError:
        return ""


def _xattr_digest(xattrs: Mapping[str, bytes]) -> str:
    """`apk_fileinfo_hash_xattr`: names and values, sorted by name."""
    if not xattrs:
        return ""
    digest = hashlib.sha1(usedforsecurity=False)
    for name in sorted(xattrs):
        digest.update(name.encode("utf-8", "surrogateescape"))
        digest.update(xattrs[name])
    return f"Q1{base64.b64encode(digest.digest()).decode('ascii')}"


class _Unpacked(io.RawIOBase):
    """The plain bytes of one gzip member, bounded; what lies behind it is refused."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj(wbits=31)
        self._left = MAX_DATA_BYTES

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Returns the next bytes, at most `size`; none at the end."""
        while not self._unpacker.eof:
            stored = self._unpacker.unconsumed_tail or self._file.read(_CHUNK)
            if not stored:
                raise EOFError("cut off")
            plain = self._unpacker.decompress(stored, size if size > 0 else _CHUNK)
            self._left -= len(plain)
            if self._left < 0:
                raise EOFError("too large")
            if plain:
                return plain
        if self._unpacker.unused_data or self._file.read(1):
            raise EOFError("something behind its data")
        return b""
