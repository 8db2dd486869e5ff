"""A depot of files in memory, for one that trusts some keys."""

from __future__ import annotations

from pathlib import Path

from services.fixer.plan.packages import Release
from services.fixer.repositories.depot import Expected


class FakeDepot:
    """Answers what it was given; asks nobody, checks nothing."""

    def __init__(self, *keys: bytes) -> None:
        self._keys = keys
        self.files: dict[str, bytes] = {}

    async def small(self, url: str, *, at_most: int) -> bytes | None:
        found = self.files.get(url)
        assert found is None or len(found) <= at_most
        return found

    async def file(self, url: str, expected: Expected, *, tampered: bool) -> Path:
        raise NotImplementedError("whoever tests files puts them somewhere")

    def keys(self, system: str, release: Release) -> tuple[bytes, ...]:
        return self._keys
