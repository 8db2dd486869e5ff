"""The spool: verified layer files on disk for as long as somebody works on them.

Each process has a folder of its own below the spool directory and holds a lock on it; a folder whose lock can be
had was left behind by a process that died, and goes. So no process ever touches a file that another one uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from services.kernel.blocking import acquire_in_thread, in_thread
from services.kernel.late_log import LateLogger
from services.kernel.model.digest import Digest
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor, ImageSource
from services.registry.room import Room

_WRITE_BYTES = 1 << 20
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_LOCK = ".lock"
_PREFIX = "process-"
_log = LateLogger()


@dataclasses.dataclass(frozen=True, slots=True)
class _Claim:
    """The folder of this process, and the open file that holds the lock on it."""

    folder: Path
    lock: int


class _Entry:
    """One digest of the spool, shared by everyone who asked for it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.users = 0
        self.turn = asyncio.Lock()
        self.taken: int | None = None
        """Bytes taken for the file; None while there is no file."""


class LayerSpool:
    """Leases files of layers. Open it with `async with`; leases end before it does."""

    def __init__(self, directory: Path, max_bytes: int, *, room_timeout_seconds: float = 600.0) -> None:
        """Prepares the spool; nothing is touched yet.

        Args:
            directory: shared by all processes of the machine; made when missing.
            max_bytes: bound on the files of this process together; a layer larger than all of it is let in alone.
            room_timeout_seconds: longest wait for others to make room.
        """
        self._directory = directory
        self._room = Room(max_bytes, room_timeout_seconds)
        self._entries: dict[Digest, _Entry] = {}
        self._claim: _Claim | None = None

    async def __aenter__(self) -> Self:
        """Removes what dead processes left and makes this process's folder.

        Raises:
            ScanFailure: SPOOL_FULL or INTERNAL, when the directory cannot be used.
        """
        with _translated(self._directory):
            self._claim = await acquire_in_thread(lambda: _claim_folder(self._directory), undo=_give_up_folder)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Removes the folder with all that is in it."""
        claim, self._claim = self._claim, None
        if claim is not None:
            await in_thread(_give_up_folder, claim)

    @contextlib.asynccontextmanager
    async def lease(self, source: ImageSource, descriptor: Descriptor) -> AsyncIterator[Path]:
        """Yields the path of the layer's file, verified; it stays until the last lease of the digest ends.

        Whoever asks first downloads; those who ask meanwhile wait and share the file. When the first fails or is
        cancelled, the next one downloads from its own source: one registry's refusal is no answer for another.
        Do not take one lease inside another.

        Raises:
            ScanFailure: what the source raises, or SPOOL_FULL.
        """
        entry = self._entry(descriptor.digest)
        entry.users += 1
        try:
            async with entry.turn:
                if entry.taken is None:
                    await self._fill(entry, source, descriptor)
            yield entry.path
        finally:
            entry.users -= 1
            if not entry.users:
                del self._entries[descriptor.digest]
                if entry.taken is not None:
                    try:
                        await in_thread(entry.path.unlink, missing_ok=True)
                    finally:
                        self._room.give_back(entry.taken)

    @contextlib.asynccontextmanager
    async def workplace(self) -> AsyncIterator[Path]:
        """Yields an empty folder of the caller's own, on the disk of the layers; it goes with all that is in it.

        Raises:
            ScanFailure: SPOOL_FULL, also when the disk fills while somebody works there; or INTERNAL.
        """
        with _translated(self._directory):
            folder = await acquire_in_thread(self._make_workplace, undo=_remove)
        try:
            yield folder
        except OSError as error:
            if error.errno in _DISK_FULL:
                raise _no_room(self._directory) from error
            raise
        finally:
            await in_thread(_remove, folder)

    def _make_workplace(self) -> Path:
        return Path(tempfile.mkdtemp(prefix="work-", dir=self._folder))

    @property
    def _folder(self) -> Path:
        if self._claim is None:
            raise RuntimeError("the spool is not open")
        return self._claim.folder

    def _entry(self, digest: Digest) -> _Entry:
        folder = self._folder
        if digest not in self._entries:
            # The same digest again gets another name: the old file may still be on its way out.
            self._entries[digest] = _Entry(folder / f"{digest.replace(':', '-')}.{secrets.token_hex(4)}")
        return self._entries[digest]

    async def _fill(self, entry: _Entry, source: ImageSource, descriptor: Descriptor) -> None:
        await self._room.take(descriptor.size)
        try:
            with _translated(self._directory):
                await _download(source, descriptor, entry.path)
        except BaseException:
            self._room.give_back(descriptor.size)
            raise
        entry.taken = descriptor.size


async def _download(source: ImageSource, descriptor: Descriptor, path: Path) -> None:
    """Writes to a temporary name, which becomes the file's own only when the bytes are verified."""
    temporary = path.with_name(f"{path.name}.part")
    file = await acquire_in_thread(lambda: _create(temporary), undo=lambda opened: _discard(opened, temporary))
    try:
        async with source.blob(descriptor) as chunks:
            buffer = bytearray()
            async for chunk in chunks:
                buffer += chunk
                if len(buffer) >= _WRITE_BYTES:
                    await in_thread(file.write, buffer)
                    buffer = bytearray()
        await in_thread(_finish, file, buffer, temporary, path)
    except BaseException:
        await in_thread(_discard, file, temporary)
        raise


def _create(path: Path) -> BinaryIO:
    return path.open("xb")


def _discard(file: BinaryIO, path: Path) -> None:
    path.unlink(missing_ok=True)
    # What is still in its buffer may find the disk full once more; it is not wanted any longer.
    with contextlib.suppress(OSError):
        file.close()


def _finish(file: BinaryIO, rest: bytearray, temporary: Path, path: Path) -> None:
    file.write(rest)
    file.close()
    temporary.replace(path)


def _claim_folder(directory: Path) -> _Claim:
    """Clears away dead folders and makes a locked one, all under one lock: no new folder is ever seen unlocked."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (directory / _LOCK).open("wb") as door:
        fcntl.flock(door, fcntl.LOCK_EX)
        # Only what bears our prefix: a directory that also holds other things is not ours to clear.
        for folder in directory.glob(f"{_PREFIX}*"):
            if folder.is_dir() and not folder.is_symlink():
                _remove_if_dead(folder)
        own = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=directory))
        lock = os.open(own / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return _Claim(own, lock)


def _give_up_folder(claim: _Claim) -> None:
    _remove(claim.folder)
    os.close(claim.lock)


def _remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_dead(folder: Path) -> None:
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError:
        _log.warning("spool.leftover_kept", folder=str(folder))
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        shutil.rmtree(folder, ignore_errors=True)
        _log.info("spool.leftover_removed", folder=str(folder))
    finally:
        os.close(lock)


@contextlib.contextmanager
def _translated(directory: Path) -> Iterator[None]:
    """Turns trouble with the disk into its reason."""
    try:
        yield
    except OSError as error:
        if error.errno in _DISK_FULL:
            raise _no_room(directory) from error
        raise ScanFailure(
            Reason.INTERNAL,
            f"The layer spool {directory} cannot be used.",
            hint="Check that the folder belongs to the user who runs Drydock and can be written.",
        ) from error


def _no_room(directory: Path) -> ScanFailure:
    return ScanFailure(
        Reason.SPOOL_FULL,
        f"The disk of the layer spool {directory} is full.",
        hint="Make room on it, or lower the number of layers fetched at a time.",
    )
