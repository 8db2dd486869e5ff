"""SQL on analyses of layers: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.scanner.records import Lease

_Q = load_queries("services.scanner")


class AnalysisStore:
    """Reads and writes analyses, and whose turn it is to make one."""

    async def analyses(self, db: Connection, digests: Sequence[str], analysers: str) -> Mapping[str, bytes]:
        """Returns the compressed analyses of layers, by layer digest; those without one are missing."""
        rows = await db.fetch(_Q["analyses"], list(digests), analysers)
        return {row["layer_digest"]: row["analysis"] for row in rows}

    async def put_analysis(self, db: Connection, digest: str, analysers: str, content: bytes) -> None:
        """Stores a compressed analysis; the first one stays."""
        await db.execute(_Q["put_analysis"], digest, analysers, content)

    async def take_turns(
        self, db: Connection, digests: Sequence[str], analysers: str, lease: Lease
    ) -> frozenset[str]:
        """Makes the lease's holder the reader of those layers that nobody else reads; returns these.

        A turn ends with the lease, or with the work; taking it again is no harm.

        Raises:
            asyncpg.ForeignKeyViolationError: the work is over, so the lease was lost.
        """
        rows = await db.fetch(_Q["take_turns"], list(digests), analysers, lease.scan_id, lease.fence)
        return frozenset(row["layer_digest"] for row in rows)
