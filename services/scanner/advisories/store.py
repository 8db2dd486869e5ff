"""All SQL about advisory files that nodes share: one method for each query."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from services.kernel.db import Pool
from services.kernel.sql import load_queries

_Q = load_queries("services.scanner")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SharedFile:
    """A compiled file as the database knows it."""

    digest: str
    """`sha256:…` of its bytes."""
    version: str
    built_at: datetime
    bytes: int


class AdvisoryStore:
    """Reads and writes the shared files of one format. Every call is a transaction of its own, and a short one:
    an open one would hold back every reader of the PostgreSQL bus.
    """

    def __init__(self, pool: Pool, file_format: int) -> None:
        self._pool = pool
        self._format = file_format

    async def current(self) -> SharedFile | None:
        """Returns the file that counts; None where none was ever shared."""
        row = await self._pool.fetchrow(_Q["current_advisories"], self._format)
        if row is None:
            return None
        return SharedFile(
            digest=row["digest"], version=row["version"], built_at=row["built_at"], bytes=row["bytes"]
        )

    async def add_file(self, file: SharedFile) -> None:
        """Announces a file whose pieces follow; idempotent."""
        await self._pool.execute(
            _Q["insert_advisory_file"], file.digest, self._format, file.version, file.built_at, file.bytes
        )

    async def add_piece(self, digest: str, number: int, content: bytes) -> None:
        """Stores a piece; idempotent."""
        await self._pool.execute(_Q["insert_advisory_piece"], digest, number, content)

    async def piece(self, digest: str, number: int) -> bytes | None:
        """Returns a piece; None when the file was pruned meanwhile."""
        content: bytes | None = await self._pool.fetchval(_Q["advisory_piece"], digest, number)
        return content

    async def point(self, digest: str) -> None:
        """Makes a stored file count, unless a younger one does."""
        await self._pool.execute(_Q["point_advisories"], self._format, digest)

    async def prune(self) -> None:
        """Forgets what does not count any more, an hour after it came."""
        await self._pool.execute(_Q["prune_advisories"], self._format)
