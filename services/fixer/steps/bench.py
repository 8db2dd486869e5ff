"""What one fix works with while it works: the repository, a folder on disk, the depot of packages."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from services.fixer.order import FixOrder
from services.fixer.repositories.depot import Depot
from services.kernel.model.access import RegistryAccess
from services.registry.ask import OpenSource
from services.registry.interface import ImageSource
from services.registry.spool import LayerSpool
from services.rules.api import RulesApi

OpenDepot = Callable[[Path], AbstractAsyncContextManager[Depot]]
"""Takes the folder below which its files lie while it is open."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """Open for the time of one fix."""

    access: RegistryAccess
    """With the credentials of now: they may have changed since the fix was asked for."""
    source: ImageSource
    folder: Path
    """Of this fix alone; goes with all that is in it, and after a crash with the next process that starts."""
    depot: Depot


class Benches:
    """Opens them."""

    def __init__(self, rules: RulesApi, open_source: OpenSource, spool: LayerSpool, open_depot: OpenDepot) -> None:
        self._rules = rules
        self._open_source = open_source
        self._spool = spool
        self._open_depot = open_depot

    @contextlib.asynccontextmanager
    async def open(self, order: FixOrder) -> AsyncIterator[Bench]:
        """Opens one for the time of the block.

        Raises:
            ServiceError: the instance cannot be asked for, or is gone.
            ScanFailure: SPOOL_FULL, INTERNAL.
            FixFailure: DISK_FULL.
        """
        access = await self._rules.registry_access(order.instance_id)
        async with (
            self._open_source(access, order.repository) as source,
            self._spool.workplace() as folder,
            self._open_depot(folder) as depot,
        ):
            yield Bench(access=access, source=source, folder=folder, depot=depot)
