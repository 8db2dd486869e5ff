"""apk's scripts and triggers: those that are installed, which of them fire, and the archive that they are in."""

from __future__ import annotations

import dataclasses
import fnmatch
import gzip
import io
import tarfile
import zlib
from collections.abc import Iterable, Mapping
from typing import Final

from services.fixer.systems.apk.database import corrupt

KINDS: Final = (
    "pre-install",
    "post-install",
    "pre-deinstall",
    "post-deinstall",
    "pre-upgrade",
    "post-upgrade",
    "trigger",
)
"""In the order in which apk writes them."""
AT_UPGRADE: Final = ("pre-upgrade", "post-upgrade")
MAX_BYTES: Final = 64 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class Script:
    """One installed script."""

    package: str
    """Checksum of its package as the archive's names have it, without what says how it is written."""
    kind: str
    text: bytes


def fires(patterns: Iterable[str], folders: Iterable[str]) -> tuple[str, ...]:
    """Returns the changed folders, absolute, that a trigger waits for (`fire_triggers`, fnmatch by path)."""
    watched = [pattern.removeprefix("+").split("/") for pattern in patterns]
    return tuple(
        folder
        for folder in folders
        if any(
            len(parts) == len(pattern) and all(map(fnmatch.fnmatchcase, parts, pattern))
            for parts in (folder.split("/"),)
            for pattern in watched
        )
    )


def read_triggers(content: bytes) -> dict[str, tuple[str, ...]]:
    """Returns what installed packages wait for: by the package's checksum, `Q1…`.

    Raises:
        FixFailure: DATABASE_CORRUPT.
    """
    triggers = {}
    for line in content.decode("utf-8", "replace").splitlines():
        checksum, *patterns = line.split()[:1_000] or [""]
        if not checksum.startswith("Q"):
            raise corrupt(f"has a trigger that is none: {line[:80]!r}")
        triggers[checksum] = tuple(patterns)
    return triggers


def write_triggers(content: bytes, changes: Mapping[str, tuple[str, tuple[str, ...]]]) -> bytes:
    """Returns the triggers after upgrades, each package in its place, new ones behind.

    Args:
        content: as it was.
        changes: by the old package's checksum the new one's, and what it waits for.
    """
    left = dict(changes)
    lines = []
    for line in content.decode("utf-8", "surrogateescape").splitlines():
        checksum = line.partition(" ")[0]
        if checksum not in changes:
            lines.append(line)
        elif checksum in left:
            lines += _trigger(*left.pop(checksum))
    for new in left.values():
        lines += _trigger(*new)
    return "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")


def _trigger(checksum: str, patterns: tuple[str, ...]) -> list[str]:
    return [" ".join((checksum, *patterns))] if patterns else []


class ScriptArchive:
    """`scripts.tar`, packed or not, entry by entry."""

    def __init__(self, content: bytes) -> None:
        """Reads it.

        Raises:
            FixFailure: DATABASE_CORRUPT.
        """
        self._packed = content.startswith(b"\x1f\x8b")
        self._entries: list[tuple[tarfile.TarInfo, bytes]] = []
        try:
            plain = _unpack(content) if self._packed else content
            with tarfile.open(fileobj=io.BytesIO(plain), mode="r:") as archive:
                for entry in archive:
                    file = archive.extractfile(entry) if entry.isreg() else None
                    if file is not None:
                        self._entries.append((entry, file.read()))
        except (tarfile.TarError, ValueError, OverflowError, EOFError, zlib.error) as error:
            if plain_end(content):
                return
            raise corrupt("has a scripts.tar that is none") from error

    def scripts(self) -> tuple[Script, ...]:
        """Returns what is in it."""
        found = []
        for entry, text in self._entries:
            rest, _, kind = entry.name.rpartition(".")
            if kind in KINDS:
                found.append(Script(rest.rpartition(".")[2], kind, text))
        return tuple(found)

    def hexadecimal(self) -> bool | None:
        """Tells whether its names have checksums as apk 3 writes them (`X1…`); None of an empty one."""
        for script in self.scripts():
            return script.package.startswith("X1")
        return None

    def replaced(self, changes: Mapping[str, tuple[str, Mapping[str, bytes], int]]) -> bytes:
        """Returns the archive after upgrades, each package's scripts in its place, those of others behind.

        Args:
            changes: by the old package's checksum as the names have it: the beginning of the new names
                (`NAME-VERSION.CHECKSUM`), its scripts by kind, and their time.
        """
        left = dict(changes)
        out = io.BytesIO()
        for entry, text in self._entries:
            checksum = entry.name.rpartition(".")[0].rpartition(".")[2]
            if checksum not in changes:
                _add(out, entry.name, text, int(entry.mtime), entry.mode)
            elif checksum in left:
                _add_all(out, *left.pop(checksum))
        for new in left.values():
            _add_all(out, *new)
        out.write(bytes(2 * tarfile.BLOCKSIZE))
        return gzip.compress(out.getvalue(), mtime=0) if self._packed else out.getvalue()


def plain_end(content: bytes) -> bool:
    """Tells whether an archive is empty: nothing, or the end of one."""
    return not content.strip(b"\0")


def _unpack(content: bytes) -> bytes:
    unpacker = zlib.decompressobj(wbits=31)
    plain = unpacker.decompress(content, MAX_BYTES)
    if not unpacker.eof:
        raise ValueError("too large, or cut off")
    return plain


def _add_all(out: io.BytesIO, stem: str, scripts: Mapping[str, bytes], mtime: int) -> None:
    for kind in KINDS:
        if kind in scripts:
            _add(out, f"{stem}.{kind}", scripts[kind], mtime, 0o755)


def _add(out: io.BytesIO, name: str, text: bytes, mtime: int, mode: int) -> None:
    """Writes an entry as apk's own tar does (`apk_tar_write_entry`)."""
    raw = name.encode("utf-8", "surrogateescape")
    if len(raw) > tarfile.LENGTH_NAME - 1:
        out.write(_header(b"././@LongLink", b"L", len(raw), mtime, mode))
        out.write(_padded(raw + b"\0"))
    out.write(_header(raw[: tarfile.LENGTH_NAME - 1], b"0", len(text), mtime, mode))
    out.write(_padded(text))


def _header(name: bytes, flag: bytes, size: int, mtime: int, mode: int) -> bytes:
    head = bytearray(tarfile.BLOCKSIZE)
    for start, value in (
        (0, name),
        (100, b"%07o" % (mode & 0o7777)),
        (108, b"%07o" % 0),
        (116, b"%07o" % 0),
        (124, b"%012o" % size),
        (136, b"%012o" % mtime),
        (148, b" " * 8),
        (156, flag),
        (257, b"ustar  "),
        (265, b"root"),
        (297, b"root"),
    ):
        head[start : start + len(value)] = value
    head[148:155] = b"%06o\0" % sum(head)
    return bytes(head)


def _padded(content: bytes) -> bytes:
    return content + bytes(-len(content) % tarfile.BLOCKSIZE)
