"""The library of layer analyses in PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

import zstandard

from services.kernel.db import Pool
from services.kernel.model.digest import Digest
from services.scanner.inspectors.inspection import Inspection
from services.scanner.layers.library import AnalysisLibrary
from services.scanner.layers.store import AnalysisStore
from services.scanner.records import Lease

_LEVEL = 3
_MAX_BYTES = 1 << 30


class StoredAnalyses(AnalysisLibrary):
    """Analyses in PostgreSQL, shared by every scanner."""

    def __init__(self, pool: Pool, store: AnalysisStore, analysers: Callable[[Inspection | None], str]) -> None:
        """Keeps them under the name that `analysers` gives to all that makes an analysis what it is."""
        self._pool = pool
        self._store = store
        self._analysers = analysers

    async def known(self, digests: Sequence[Digest], inspection: Inspection | None) -> Mapping[Digest, bytes]:
        """One query for all."""
        async with self._pool.acquire() as db:
            packed = await self._store.analyses(db, digests, self._analysers(inspection))
        return {Digest(digest): await asyncio.to_thread(_unpack, content) for digest, content in packed.items()}

    async def take_turns(
        self, digests: Sequence[Digest], inspection: Inspection | None, lease: Lease | None
    ) -> frozenset[Digest]:
        """One statement, decided by the database for every scanner."""
        if lease is None or not digests:
            return frozenset(digests)
        async with self._pool.acquire() as db:
            turns = await self._store.take_turns(db, digests, self._analysers(inspection), lease)
            return frozenset(map(Digest, turns))

    async def keep(self, digest: Digest, inspection: Inspection | None, analysis: bytes) -> None:
        """One row, compressed."""
        packed = await asyncio.to_thread(_pack, analysis)
        async with self._pool.acquire() as db:
            await self._store.put_analysis(db, digest, self._analysers(inspection), packed)


def _pack(analysis: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(analysis)


def _unpack(packed: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=_MAX_BYTES)
