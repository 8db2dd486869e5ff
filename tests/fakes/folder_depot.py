"""A depot of one folder on disk, reached by one address."""

from __future__ import annotations

import hashlib
from pathlib import Path

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Release
from services.fixer.repositories.depot import Depot, Expected


class FolderDepot(Depot):
    """Gives a folder's files by their path below an address, and holds them against their hashes."""

    def __init__(self, address: str, folder: Path, *keys: bytes) -> None:
        self._address = f"{address}/"
        self._folder = folder
        self._keys = keys

    async def small(self, url: str, *, at_most: int) -> bytes | None:
        path = self._path(url)
        if not path.exists():
            return None
        content = path.read_bytes()
        assert len(content) <= at_most
        return content

    async def file(self, url: str, expected: Expected, *, tampered: bool) -> Path:
        path = self._path(url)
        algorithm, _, digest = expected.checksum.partition(":")
        content = path.read_bytes()
        if len(content) != expected.size or hashlib.new(algorithm, content).hexdigest() != digest:
            why = FixReason.PACKAGE_TAMPERED if tampered else FixReason.INDEX_TAMPERED
            raise FixFailure(why, f"{url} has another hash.")
        return path

    def keys(self, system: str, release: Release) -> tuple[bytes, ...]:
        return self._keys

    def _path(self, url: str) -> Path:
        assert url.startswith(self._address), url
        return self._folder / url.removeprefix(self._address)
