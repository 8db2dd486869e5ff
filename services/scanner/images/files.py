"""The files that an image on disk is made of: paths lead to ranges of bytes, in a folder or an archive."""

from __future__ import annotations

import contextlib
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from pathlib import Path
from types import TracebackType
from typing import Self

from services.kernel.blocking import acquire_in_thread, in_thread
from services.kernel.reasons import Reason, ScanFailure
from services.registry.interface import Descriptor
from services.registry.verify import BlobCheck

_CHUNK_BYTES = 1 << 20


class Absent(Exception):
    """There is no such file; whoever asked for it knows what that means."""


class OpenFile:
    """A range of an open file, read from its beginning to its end; the descriptor is its own."""

    def __init__(self, descriptor: int, *, start: int, size: int) -> None:
        self._descriptor = descriptor
        self._at = start
        self._end = start + size
        self.size = size

    def __enter__(self) -> Self:
        """Returns itself; the file is closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the file."""
        self.close()

    def read(self, count: int) -> bytes:
        """Returns the next bytes, at most so many; none at the end.

        Raises:
            OSError: the disk failed.
        """
        content = os.pread(self._descriptor, min(count, self._end - self._at), self._at)
        self._at += len(content)
        return content

    def close(self) -> None:
        """Closes the descriptor."""
        os.close(self._descriptor)


class Files(ABC):
    """A folder or an archive. What is in it is hostile: bounded, and nothing outside of it is ever opened."""

    title: str
    """How it is called in sentences, such as `OCI image layout ./out`."""
    hint: str
    """What to do when it is not what it should be."""

    @abstractmethod
    def open(self, path: str) -> OpenFile:
        """Opens a regular file by its path from the root; blocks.

        Raises:
            Absent: there is none.
            ScanFailure: it cannot be read, or leads out of here.
        """

    def place(self, path: str) -> Path | None:
        """Returns where a regular file lies on its own; None where it does not, or is not there; blocks."""
        return None

    def read(self, path: str, limit: int) -> bytes:
        """Returns a file's first bytes, at most `limit`; blocks.

        Raises:
            ScanFailure: also when there is no such file.
        """
        try:
            with self.open(path) as file:
                content = bytearray()
                while len(content) < limit and (chunk := file.read(limit - len(content))):
                    content += chunk
                return bytes(content)
        except (OSError, Absent) as error:
            raise self.unreadable(path, error) from error

    def unreadable(self, what: str, error: Exception) -> ScanFailure:
        """The failure of a file that cannot be had."""
        absent = isinstance(error, Absent | FileNotFoundError | NotADirectoryError)
        why = "is not there" if absent else "cannot be read"
        return ScanFailure(Reason.IMAGE_NOT_FOUND, f"In the {self.title}, {what} {why}.", hint=self.hint)

    def broken(self, what: str) -> ScanFailure:
        """The failure of content that makes no sense."""
        return ScanFailure(Reason.MANIFEST_INVALID, f"The {self.title} is broken: {what}.")

    async def stream(self, path: str, descriptor: Descriptor) -> AsyncGenerator[bytes, None]:
        """Yields a blob's bytes, verified at its end.

        Raises:
            ScanFailure: BLOB_NOT_FOUND, DIGEST_MISMATCH.
        """
        check = BlobCheck(descriptor)
        try:
            file = await acquire_in_thread(lambda: self.open(path), undo=lambda opened: opened.close())
        except Absent as error:
            raise ScanFailure(
                Reason.BLOB_NOT_FOUND, f"The {self.title} does not have the blob {descriptor.digest}."
            ) from error
        try:
            while chunk := await in_thread(self._next, file, descriptor.digest):
                await in_thread(check.add, chunk)
                yield chunk
        finally:
            file.close()
        check.finish()

    def _next(self, file: OpenFile, what: str) -> bytes:
        try:
            return file.read(_CHUNK_BYTES)
        except OSError as error:
            raise self.unreadable(what, error) from error


class Folder(Files):
    """The files of a folder."""

    hint = "Name a folder that holds an oci-layout file, as in oci:DIR:TAG."

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.title = f"OCI image layout {directory}"

    def open(self, path: str) -> OpenFile:
        """Opens a regular file inside the folder; a link that leads out of it is refused."""
        try:
            root = self._directory.resolve(strict=True)
            target = self._inside(root, path)
            # Without O_NONBLOCK a named pipe would hang the thread before we see what it is.
            descriptor = os.open(target, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise Absent(path) from error
        except (OSError, RuntimeError) as error:
            raise self.unreadable(path, error) from error
        with contextlib.ExitStack() as undo:
            undo.callback(os.close, descriptor)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise self.broken(f"{path} is no regular file")
            undo.pop_all()
            return OpenFile(descriptor, start=0, size=status.st_size)

    def place(self, path: str) -> Path | None:
        """Returns the file that `open` would open; None where `open` would refuse."""
        try:
            with self.open(path):
                return self._inside(self._directory.resolve(strict=True), path)
        except (Absent, ScanFailure, OSError, RuntimeError):
            return None  # whoever then reads it as a stream is told why

    def _inside(self, root: Path, path: str) -> Path:
        target = (root / path).resolve(strict=True)
        if not target.is_relative_to(root):
            raise self.broken(f"{path} leads out of the folder")
        return target
