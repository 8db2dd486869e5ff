"""The advisory files of a data directory: one is current, and it is replaced whole or not at all.

`DATA/advisories/current` names the file; renaming a new one over it is the swap. A file that is open elsewhere may
be unlinked: its mapping lives on. The one before the current stays, for readers between pointer and file.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final

import msgspec

from services.kernel.errors import Kind, ServiceError
from services.kernel.late_log import LateLogger
from services.scanner.advisories.compile import Progress, Source, compile_sources
from services.scanner.advisories.database import FORMAT, Database, Meta

SNAPSHOT: Final = Path(__file__).with_name("snapshot.ndjson")
"""The facts that ship with Drydock; `snapshot.md` tells what they are."""

_FOLDER: Final = "advisories"
_POINTER: Final = "current"
_ATTEMPTS: Final = 5
_ABANDONED_SECONDS: Final = 86_400

log = LateLogger()


class Pointer(msgspec.Struct, frozen=True, kw_only=True):
    """The content of `current`."""

    file: str
    bytes: int
    previous: str = ""
    snapshot: str = ""
    """Hash of the packaged facts when the file is the sample made of them."""
    format: int = FORMAT


class AdvisoryFiles:
    """The advisory files below one data directory. Any number of processes may use it at once."""

    def __init__(self, data: Path) -> None:
        """Touches nothing yet; the folder is made when something is written."""
        self.folder = data / _FOLDER

    def install(self, sources: Sequence[Source], *, now: datetime, progress: Progress | None = None) -> Meta:
        """Compiles the sources and makes the result current. Whatever fails, the old file stays.

        Blocking, for seconds.

        Raises:
            ServiceError: what `compile_sources` raises, or ADVISORY_IMPORT_RUNNING.
        """
        with self._exclusive():
            return self._install(sources, built_at=now, snapshot="", progress=progress)

    def adopt(self, draft: Path, version: str) -> None:
        """Makes a compiled and verified file, which lies below the same folder, the current one.

        Raises:
            ServiceError: ADVISORY_IMPORT_RUNNING.
        """
        with self._exclusive():
            self._make_current(draft, version, snapshot="")

    def ensure(self) -> Path:
        """Returns the current file; where nothing was ever imported, the packaged sample is compiled first."""
        pointer = self._pointer()
        snapshot = hashlib.sha256(SNAPSHOT.read_bytes()).hexdigest()
        # A sample of an older release, or of an older format, is made anew; what somebody imported never is.
        if pointer is None or (pointer.snapshot and (pointer.snapshot, pointer.format) != (snapshot, FORMAT)):
            with self._exclusive(wait=True):
                if self._pointer() == pointer:  # nobody else did it while we waited
                    self._install([Source(path=SNAPSHOT, name="snapshot")], built_at=None, snapshot=snapshot)
        current = self.current()
        if current is None:
            raise _damaged(self.folder, "the file was removed")
        return current

    def current(self) -> Path | None:
        """Returns the current file, None where nothing was imported.

        Raises:
            ServiceError: ADVISORIES_UNREADABLE when it is missing or not as long as it was.
        """
        pointer = self._pointer()
        if pointer is None:
            return None
        path = self.folder / pointer.file
        # A shorter file would kill the reader of its missing pages by a signal.
        if not path.is_file() or path.stat().st_size != pointer.bytes:
            raise _damaged(self.folder, f"{pointer.file} is missing or cut off")
        return path

    def open(self) -> Database:
        """Opens the current file, the sample where there is no other; the caller closes it."""
        for _ in range(_ATTEMPTS):
            path = self.ensure()
            try:
                return Database(path)
            except ServiceError:
                if path == self.ensure():
                    raise
        raise _damaged(self.folder, "it is replaced faster than it can be opened")

    def _install(
        self,
        sources: Sequence[Source],
        *,
        built_at: datetime | None,
        snapshot: str,
        progress: Progress | None = None,
    ) -> Meta:
        self._sweep()
        draft = self.folder / f".import-{os.getpid()}-{threading.get_ident()}.mdb"
        try:
            meta = compile_sources(sources, draft, built_at=built_at, progress=progress)
            self._make_current(draft, meta.version, snapshot=snapshot)
        finally:
            draft.unlink(missing_ok=True)
        log.info("advisories.installed", version=meta.version, records=meta.records, sample=meta.sample)
        return meta

    def _make_current(self, draft: Path, version: str, *, snapshot: str) -> None:
        name = f"advisories-{version.rpartition('-')[2]}.mdb"
        size = draft.stat().st_size
        draft.chmod(0o444)
        draft.rename(self.folder / name)
        old = self._old_pointer()
        previous = old.file if old and old.file != name else old.previous if old else ""
        self._point(Pointer(file=name, bytes=size, previous=previous, snapshot=snapshot))
        self._prune({name, previous})

    def _pointer(self) -> Pointer | None:
        try:
            content = (self.folder / _POINTER).read_bytes()
        except FileNotFoundError:
            return None
        try:
            pointer = msgspec.json.decode(content, type=Pointer)
        except msgspec.MsgspecError as error:
            raise _damaged(self.folder, "its pointer is no JSON of ours") from error
        if Path(pointer.file).name != pointer.file:
            raise _damaged(self.folder, "its pointer leads elsewhere")
        return pointer

    def _old_pointer(self) -> Pointer | None:
        try:
            return self._pointer()
        except ServiceError as error:  # a new import is the very cure for it
            log.warning("advisories.pointer_damaged", reason=error.reason)
            return None

    def _point(self, pointer: Pointer) -> None:
        draft = self.folder / f".{_POINTER}-{os.getpid()}"
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(pointer))
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / _POINTER)
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)  # the rename itself must survive a power cut
        finally:
            os.close(descriptor)

    def _prune(self, keep: set[str]) -> None:
        for path in self.folder.glob("advisories-*.mdb"):
            if path.name not in keep:
                path.unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Removes what an import that was killed left behind; only one import runs at a time."""
        for path in self.folder.glob(".import-*"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".download-*"):
            # Another import may still be downloading: only one that cannot be is left over.
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)

    @contextmanager
    def _exclusive(self, *, wait: bool = False) -> Iterator[None]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("wb") as lock:
            try:
                # Waiting is bounded: it is for the sample alone, which takes a moment.
                fcntl.flock(lock, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ServiceError(
                    Kind.ABORTED,
                    "ADVISORY_IMPORT_RUNNING",
                    f"Another import into {self.folder} is running.",
                    hint="Wait for it to end, then try again.",
                    retry_after=5.0,
                ) from error
            yield


class AdvisoryReader:
    """Keeps the current file open and follows the swap: for processes that match again and again.

    Not to be shared between threads.
    """

    def __init__(self, files: AdvisoryFiles) -> None:
        """Opens nothing yet."""
        self._files = files
        self._database: Database | None = None

    def database(self) -> Database:
        """Returns the current file, opened; valid until the next call."""
        path = self._files.ensure()
        if self._database is None or self._database.path != path:
            self.close()
            self._database = self._files.open()
        return self._database

    def close(self) -> None:
        """Unmaps the file; idempotent."""
        if self._database is not None:
            self._database.close()
            self._database = None


def _damaged(folder: Path, what: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "ADVISORIES_UNREADABLE",
        f"The advisories in {folder} cannot be used: {what}.",
        hint="Run `drydock advisories update` or `drydock advisories import` again.",
    )
