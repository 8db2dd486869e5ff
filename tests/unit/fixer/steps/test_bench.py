"""What one fix works with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from services.fixer.repositories.depot import Depot
from services.fixer.steps.bench import Benches
from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.registry.interface import ImageSource
from services.registry.spool import LayerSpool
from services.rules.api import RulesApi
from tests.builders.fixing import PlayedRules, an_order


@asynccontextmanager
async def no_source(_access: RegistryAccess, _name: RepositoryName) -> AsyncIterator[ImageSource]:
    yield cast("ImageSource", None)


async def test_what_is_fetched_lies_in_the_folder_that_a_dead_process_loses(tmp_path: Path) -> None:
    """Packages of a fix whose process was killed had stayed for ever: two folders, seen with a real kill -9."""
    asked = []

    @asynccontextmanager
    async def depot(folder: Path) -> AsyncIterator[Depot]:
        asked.append(folder)
        yield cast("Depot", None)

    rules = cast("RulesApi", PlayedRules(RegistryAccess(address="127.0.0.1:1")))
    async with (
        LayerSpool(tmp_path, 1 << 20) as spool,
        Benches(rules, no_source, spool, depot).open(an_order("sha256:" + "a" * 64)) as bench,
    ):
        assert asked == [bench.folder]
        assert bench.folder.is_dir()
    assert not bench.folder.exists()
