"""A look at a registry that finds what a test says."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.registry.trial import Trial


class FakeLook:
    """Finds a registry that gives an image, until told otherwise; remembers who asked for what."""

    def __init__(self) -> None:
        self.trial = Trial(pulled="team/app:1.0")
        self.asked: list[tuple[str, bool]] = []
        """Address, and whether a pull was asked for."""

    async def __call__(self, access: RegistryAccess, known: Sequence[RepositoryName], *, pull: bool) -> Trial:
        del known
        self.asked.append((access.address, pull))
        if self.trial.pulled and not pull:
            return Trial()
        return self.trial
