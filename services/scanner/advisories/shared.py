"""Sharing: every node serves the same advisories, the youngest that anybody imported anywhere.

The compiled file lies in PostgreSQL by digest, and one row says which counts. A node whose own file is younger
stores it there; one whose own is older, or the sample, fetches, verifies and swaps. "Younger" is by the moment of
import: the same on every node, whoever compares.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from io import BufferedReader
from pathlib import Path
from typing import Final

import asyncpg
import structlog
import zstandard

from services.kernel.db import is_outage, open_pool, unavailable
from services.kernel.errors import Kind, ServiceError
from services.scanner.advisories.database import FORMAT, Database, Meta
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.advisories.store import AdvisoryStore, SharedFile

_PIECE_BYTES: Final = 4 << 20
_MAX_BYTES: Final = 16 << 30
"""Of a file that is fetched; the largest there are have some hundred megabytes."""

log = structlog.get_logger(__name__)


class SharedAdvisories:
    """Keeps one data directory and the database at the same advisories. Any number of processes may do so."""

    def __init__(self, files: AdvisoryFiles, store: AdvisoryStore) -> None:
        self._files = files
        self._store = store

    async def synchronise(self) -> SharedFile | None:
        """Stores or fetches whatever is younger; returns what the database has then. Idempotent.

        Cancelled or failed half-way, it leaves both sides as they were.

        Raises:
            ServiceError: ADVISORIES_UNREADABLE when a stored file is damaged, ADVISORY_IMPORT_RUNNING;
                errors of the database as they come.
        """
        shared = await self._store.current()
        own = await asyncio.to_thread(self._own)
        if own is not None and (shared is None or shared.built_at < own.built_at):
            return await self._share(own)
        if shared is not None and (own is None or own.built_at < shared.built_at):
            await self._fetch(shared)
        return shared

    def _own(self) -> Meta | None:
        """What somebody imported here; the sample is everywhere already, and what is damaged is fetched anew."""
        try:
            if self._files.current() is None:
                return None
            with self._files.open() as database:
                return None if database.meta.sample else database.meta
        except ServiceError as error:
            log.warning("advisories.unreadable", reason=error.reason)
            return None

    async def _share(self, own: Meta) -> SharedFile:
        path = self._files.current()
        if path is None:
            raise _damaged(own.version, "it was removed")
        # The open file stays readable when the next import replaces it.
        with path.open("rb") as file:
            digest, size = await asyncio.to_thread(_measure, file)
            shared = SharedFile(digest=digest, version=own.version, built_at=own.built_at, bytes=size)
            await self._store.add_file(shared)
            number = 0
            while piece := await asyncio.to_thread(file.read, _PIECE_BYTES):
                await self._store.add_piece(digest, number, await asyncio.to_thread(_compress, piece))
                number += 1
        await self._store.point(digest)
        await self._store.prune()
        log.info("advisories.shared", version=own.version, bytes=size)
        return shared

    async def _fetch(self, shared: SharedFile) -> None:
        if shared.bytes > _MAX_BYTES:
            raise _damaged(shared.version, f"its {shared.bytes} bytes are more than {_MAX_BYTES}")
        self._files.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".download-", dir=self._files.folder) as folder:
            draft = Path(folder) / "shared.mdb"
            await self._download(shared, draft)
            await asyncio.to_thread(self._adopt, shared, draft)
        log.info("advisories.fetched", version=shared.version, bytes=shared.bytes)

    async def _download(self, shared: SharedFile, draft: Path) -> None:
        hasher, size, number = hashlib.sha256(), 0, 0
        with draft.open("wb") as file:
            while size < shared.bytes:
                packed = await self._store.piece(shared.digest, number)
                if packed is None:
                    raise _damaged(shared.version, f"piece {number} is missing")
                piece = await asyncio.to_thread(_decompress, packed, shared.version)
                hasher.update(piece)
                await asyncio.to_thread(file.write, piece)
                size += len(piece)
                number += 1
            file.flush()
            await asyncio.to_thread(os.fsync, file.fileno())
        if size != shared.bytes or f"sha256:{hasher.hexdigest()}" != shared.digest:
            raise _damaged(shared.version, "its bytes do not have its digest")

    def _adopt(self, shared: SharedFile, draft: Path) -> None:
        with Database(draft) as database:
            if database.meta.version != shared.version or database.meta.format != FORMAT:
                raise _damaged(shared.version, "it is another one inside")
        self._files.adopt(draft, shared.version)


async def synchronise_with(url: str, files: AdvisoryFiles) -> SharedFile | None:
    """Does the same for whoever is no server: connects, shares or fetches, and hangs up.

    Raises:
        ServiceError: as `SharedAdvisories.synchronise`; DATABASE_UNAVAILABLE; DATABASE_NOT_MIGRATED.
    """
    try:
        async with open_pool(url, application_name="drydock advisories", max_size=1, patience_seconds=10) as pool:
            return await SharedAdvisories(files, AdvisoryStore(pool, FORMAT)).synchronise()
    except asyncpg.UndefinedTableError as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "DATABASE_NOT_MIGRATED",
            "The database has no place for advisories yet: they lie in the data directory alone.",
            hint="Start Drydock with this database once, then run `drydock advisories status`, which shares them.",
        ) from error
    except Exception as error:
        if isinstance(error, ServiceError) or not is_outage(error):
            raise
        raise unavailable() from error


def _measure(file: BufferedReader) -> tuple[str, int]:
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    size = file.tell()
    file.seek(0)
    return f"sha256:{digest}", size


def _compress(piece: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=3).compress(piece)


def _decompress(packed: bytes, version: str) -> bytes:
    try:
        return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_PIECE_BYTES)
    except zstandard.ZstdError as error:
        raise _damaged(version, "a piece cannot be unpacked") from error


def _damaged(version: str, what: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "ADVISORIES_UNREADABLE",
        f"The shared advisories {version} cannot be used: {what}.",
        hint="The advisories that were there still serve. Run `drydock advisories update` again.",
    )
