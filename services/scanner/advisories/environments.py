"""Mapped files: LMDB maps a file once in a process, however many read it."""

from __future__ import annotations

import dataclasses
import os
import threading
from pathlib import Path
from typing import Final

import lmdb


@dataclasses.dataclass(slots=True)
class _Mapped:
    environment: lmdb.Environment
    readers: int


_lock: Final = threading.Lock()
_mapped: Final[dict[tuple[int, Path], _Mapped]] = {}
"""By process, since a forked one has the table but may not read by it, and by file."""


class MappedFile:
    """A reader's share of a mapped file; the last one to close it unmaps it."""

    def __init__(self, path: Path) -> None:
        """Maps the file, unless another reader of this process has.

        Raises:
            lmdb.Error: it is not there, or no such file.
        """
        self._key = (os.getpid(), path.absolute())
        self._closed = False
        with _lock:
            known = _mapped.get(self._key)
            if known is None:
                known = _mapped[self._key] = _Mapped(_open(path), 0)
            known.readers += 1
            self.environment = known.environment

    def close(self) -> None:
        """Gives the share back; idempotent."""
        with _lock:
            if self._closed:
                return
            self._closed = True
            known = _mapped[self._key]
            known.readers -= 1
            if not known.readers:
                del _mapped[self._key]
                known.environment.close()


def _open(path: Path) -> lmdb.Environment:
    return lmdb.open(
        str(path), subdir=False, readonly=True, lock=False, readahead=False, create=False, max_spare_txns=8
    )
