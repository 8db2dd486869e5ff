"""Stored analyses come back as they were kept."""

from __future__ import annotations

from services.kernel.model.digest import digest_of
from services.scanner.layers.stored import StoredAnalyses
from services.scanner.store import ScannerStore
from tests.databases import migrated_pool


async def test_an_analysis_comes_back_and_the_first_one_stays(database: str) -> None:
    layer, other = digest_of(b"layer"), digest_of(b"other")
    async with migrated_pool(database, ("scanner", "services.scanner")) as pool:
        library = StoredAnalyses(pool, ScannerStore(), "analysers-1")
        await library.keep(layer, b"{}" * 1000)
        await library.keep(layer, b"another")
        assert await library.known([layer, other]) == {layer: b"{}" * 1000}
        assert await StoredAnalyses(pool, ScannerStore(), "analysers-2").known([layer]) == {}
