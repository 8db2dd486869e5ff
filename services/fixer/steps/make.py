"""Making one platform's layer: packages fetched and looked into, then the layer built."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from services.fixer.plan.packages import Candidate, SystemPlan
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.steps.labour import BuiltLayer, build_layer, check_packages
from services.fixer.steps.prepare import Prepared
from services.fixer.steps.workers import Labour
from services.kernel.groups import cause_of

_AT_ONCE: Final = 6
Counted = Callable[[int, int], Awaitable[None]]
"""Is told how many of how many packages are there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A platform whose packages are here, and are such as can be built in."""

    prepared: Prepared
    files: Mapping[str, Path]
    """By the candidate's URL."""


class Maker:
    """Fetches and builds."""

    def __init__(self, labour: Labour) -> None:
        self._labour = labour

    async def fetch(self, prepared: Prepared, depot: Depot, counted: Counted) -> Ready:
        """Fetches the packages of a plan; what turns out to need more than files is no longer in the plan.

        Raises:
            FixFailure: PACKAGE_TAMPERED, PACKAGE_INVALID, REPOSITORY_UNREACHABLE, DISK_FULL.
        """
        plan = prepared.plan
        files: dict[str, Path] = {}
        waiting = iter(plan.upgrades)
        expected, telling = len(plan.upgrades), asyncio.Lock()

        async def work() -> None:
            for upgrade in waiting:
                files[upgrade.candidate.url] = await depot.file(
                    upgrade.candidate.url, _expected(upgrade.candidate), tampered=True
                )
                async with telling:  # one after the other: what is told last is what is so
                    await counted(len(files), expected)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(_AT_ONCE, expected)):
                    group.create_task(work())
        except BaseExceptionGroup as failures:
            raise cause_of(failures) from None
        checked: SystemPlan = await self._labour.do(check_packages, prepared.survey, plan, files)
        return Ready(prepared=dataclasses.replace(prepared, plan=checked), files=files)

    async def build(self, ready: Ready, target: Path) -> BuiltLayer:
        """Builds the layer into a new file.

        Raises:
            FixFailure: PACKAGE_INVALID, DATABASE_CORRUPT, DISK_FULL, WORKER_DIED, FIX_TIMED_OUT.
        """
        return await self._labour.do(
            build_layer,
            ready.prepared.survey.system,
            ready.prepared.layers,
            ready.prepared.plan,
            ready.files,
            target,
        )


def _expected(candidate: Candidate) -> Expected:
    return Expected(size=candidate.size, checksum=candidate.checksum or f"sha256:{candidate.sha256}")
