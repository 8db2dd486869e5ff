"""What a fix lives on breaks off: the registry it reads from and writes to, and the repositories of packages."""

from __future__ import annotations

import asyncio
import dataclasses

from services.lab.faults import CutOff, Disconnect
from tests.chaos.fixes.asking import REPOSITORY
from tests.chaos.stage import Stage


@dataclasses.dataclass(frozen=True, slots=True)
class RegistryAway:
    """A registry hangs up on whoever writes to the repository of fixes, and breaks off what is read of it."""

    place: int
    delay: float
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Leaves all other repositories alone: those that push there do not try again."""
        await asyncio.sleep(self.delay)
        lab = stage.places[self.place].registry.lab
        assert lab is not None
        lab.faults.add(f"/v2/{REPOSITORY}/*", Disconnect(), methods=("POST", "PUT", "PATCH"))
        lab.faults.add(f"/v2/{REPOSITORY}/blobs/*", CutOff(100), methods=("GET",))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            lab.faults.clear()


@dataclasses.dataclass(frozen=True, slots=True)
class DepotAway:
    """Indexes and packages end in the middle."""

    delay: float
    seconds: float

    async def strike(self, stage: Stage) -> None:
        """Befalls all fixers."""
        await asyncio.sleep(self.delay)
        stage.depot.away = True
        try:
            await asyncio.sleep(self.seconds)
        finally:
            stage.depot.away = False
