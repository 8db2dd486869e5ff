"""Stored analyses come back as they were kept, to whoever looks for the same."""

from __future__ import annotations

from services.kernel.model.digest import digest_of
from services.scanner.analysers import analysers_key
from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.inspection import Inspection
from services.scanner.layers.store import AnalysisStore
from services.scanner.layers.stored import StoredAnalyses
from tests.databases import migrated_pool


async def test_an_analysis_comes_back_and_the_first_one_stays(database: str) -> None:
    layer, other = digest_of(b"layer"), digest_of(b"other")
    async with migrated_pool(database, ("scanner", "services.scanner")) as pool:
        library = StoredAnalyses(pool, AnalysisStore(), analysers_key)
        await library.keep(layer, None, b"{}" * 1000)
        await library.keep(layer, None, b"another")
        assert await library.known([layer, other], None) == {layer: b"{}" * 1000}
        assert await library.known([layer], Inspection()) == {}
        newer = Inspection(clamd=Clamd(address="/clamd", release="ClamAV 1.4.3/27812"))
        await library.keep(layer, newer, b"newer")
        assert await library.known([layer], newer) == {layer: b"newer"}
        newest = Inspection(clamd=Clamd(address="/clamd", release="ClamAV 1.4.3/27813"))
        assert await library.known([layer], newest) == {}
