"""Disk use: how large each table of a schema is, with its partitions and indexes, and each folder."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge

from services.kernel.db import Pool
from services.kernel.retention import every

_INTERVAL_SECONDS = 300.0
_SIZES = """
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS name,
    sum(pg_total_relation_size(c.oid))::bigint AS bytes
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')
GROUP BY 1
"""


class DiskUse:
    """Measures, and tells in metrics. Labels are the schema's tables and the folders' names: closed sets."""

    def __init__(
        self, schema: str, pool: Pool, registry: CollectorRegistry, folders: Mapping[str, Path] | None = None
    ) -> None:
        self._schema = schema
        self._pool = pool
        self._folders = folders or {}
        self._tables = Gauge(
            f"drydock_{schema}_table_bytes",
            "Size of a table with partitions, indexes and long values.",
            ("table",),
            registry=registry,
        )
        self._kinds = Gauge(
            f"drydock_{schema}_folder_bytes",
            "Disk that a folder's files take.",
            ("folder",),
            registry=registry,
        )

    async def run(self, stopping: asyncio.Event) -> None:
        """Measures at once and then every five minutes, until `stopping`."""
        await every(_INTERVAL_SECONDS, self.measure, stopping, name=f"{self._schema} disk use")

    async def measure(self, stopping: asyncio.Event) -> None:
        """Measures once."""
        del stopping
        async with self._pool.acquire() as db:
            rows = await db.fetch(_SIZES, self._schema)
        for row in rows:
            self._tables.labels(row["name"].removeprefix(f"{self._schema}.")).set(int(row["bytes"]))
        for name, folder in self._folders.items():
            self._kinds.labels(name).set(await asyncio.to_thread(_bytes_below, folder))


def _bytes_below(folder: Path) -> int:
    """Counts what files really take: some have holes, some are gone while we look."""
    total = 0
    for place in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if place.is_file() and not place.is_symlink():
                total += place.lstat().st_blocks * 512
    return total
