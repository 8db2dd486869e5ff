"""The shelf: packages and indexes that were fetched once, by hash, verified each time that they are taken down."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from services.fixer.repositories.depot import Expected
from services.fixer.repositories.hashing import hasher_of

_CHUNK: Final = 1 << 20


class Shelf:
    """Files by hash, in one folder that processes may share; the ones not used for longest go when it is full.

    All methods block: call them in a thread.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Takes the folder, which is made with the first file, and how many bytes of files may stay in it."""
        self._folder = folder
        self._max_bytes = max_bytes

    def take(self, expected: Expected, into: Path) -> bool:
        """Puts a file that is had, and is what it must be, at `into`; a damaged one goes, and False is told.

        What is at `into` stays when the shelf is cleared.
        """
        path = self._path(expected)
        try:
            os.link(path, into)
        except FileNotFoundError:
            return False
        if _is(into, expected):
            os.utime(into)
            return True
        into.unlink()
        path.unlink(missing_ok=True)
        return False

    def keep(self, into: Path, expected: Expected) -> None:
        """Puts a verified file on the shelf, too, and makes room for it."""
        into.chmod(0o444)
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):  # another process fetched it, too
            os.link(into, self._path(expected))
        self._clear()

    def _clear(self) -> None:
        files = []
        for entry in os.scandir(self._folder):
            with contextlib.suppress(FileNotFoundError):  # another process cleared it
                if entry.is_file():
                    files.append((entry.stat().st_mtime, entry.stat().st_size, entry.path))
        total = sum(size for _, size, _ in files)
        for _, size, path in sorted(files):
            if total <= self._max_bytes:
                return
            Path(path).unlink(missing_ok=True)
            total -= size

    def _path(self, expected: Expected) -> Path:
        algorithm, _, value = expected.checksum.partition(":")
        if len(bytes.fromhex(value)) != hasher_of(algorithm).digest_size:
            raise ValueError(f"{expected.checksum[:80]!r} is no checksum")
        return self._folder / f"{algorithm}-{value}"


def _is(path: Path, expected: Expected) -> bool:
    algorithm, _, value = expected.checksum.partition(":")
    hasher = hasher_of(algorithm)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest() == value


@contextlib.contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside the shelf's files, on the same disk; it goes with all that is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(prefix="work-", dir=folder))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
