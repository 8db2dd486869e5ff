"""The depot in earnest: the door, the shelf and the keys together."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from services.fixer.failure import FixFailure, FixReason
from services.fixer.plan.packages import Release
from services.fixer.repositories.depot import Depot, Expected
from services.fixer.repositories.door import Missing, RepositoryDoor, patiently, public, unreachable, whole
from services.fixer.repositories.hashing import hasher_of
from services.fixer.repositories.keyrings import Keyrings
from services.fixer.repositories.shelf import Shelf, workplace
from services.kernel.blocking import in_thread

_AT_ONCE: Final = 6
"""Files fetched at once for one fix: mirrors look askance at more."""


class RepositoryDepot(Depot):
    """Fetches through the door, keeps on the shelf; files lie in a folder of this depot's own while it is open."""

    def __init__(self, door: RepositoryDoor, shelf: Shelf, keyrings: Keyrings, place: Path) -> None:
        self._door = door
        self._shelf = shelf
        self._keyrings = keyrings
        self._place = place
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._coming: dict[Path, asyncio.Lock] = {}

    async def small(self, url: str, *, at_most: int) -> bytes | None:
        """Fetches it anew each time: an index is only worth something while it is young."""
        attempt = 0
        while True:
            try:
                async with self._turns:
                    return await whole(self._door, url, at_most=at_most)
            except Missing:
                return None
            except FixFailure as failure:
                await patiently(attempt, failure)
                attempt += 1

    async def file(self, url: str, expected: Expected, *, tampered: bool) -> Path:
        """Fetches it, or takes it from the shelf."""
        into = self._place / expected.checksum.replace(":", "-")
        async with self._coming.setdefault(into, asyncio.Lock()):
            if await in_thread(into.exists):
                return into
            with _disk():
                if not await in_thread(self._shelf.take, expected, into):
                    await self._fetch_patiently(url, expected, into, tampered=tampered)
        return into

    def keys(self, system: str, release: Release) -> tuple[bytes, ...]:
        """Returns the contents of the files."""
        del system
        return tuple(self._keyrings.of(release).values())

    async def _fetch_patiently(self, url: str, expected: Expected, into: Path, *, tampered: bool) -> None:
        attempt = 0
        while True:
            try:
                async with self._turns:
                    return await self._fetch(url, expected, into, tampered=tampered)
            except Missing as error:
                raise unreachable(url, "its index names it, and the server does not have it", 404) from error
            except FixFailure as failure:
                await patiently(attempt, failure)
                attempt += 1

    async def _fetch(self, url: str, expected: Expected, into: Path, *, tampered: bool) -> None:
        algorithm = expected.checksum.partition(":")[0]
        hasher, received = hasher_of(algorithm), 0
        coming = into.with_name(f"{into.name}.coming")
        with coming.open("wb") as file:
            async with aclosing(self._door.chunks(url, at_most=expected.size)) as chunks:
                async for chunk in chunks:
                    received += len(chunk)
                    hasher.update(chunk)
                    await in_thread(file.write, chunk)
        if received < expected.size:
            raise unreachable(url, f"the transfer ended after {received:,} of {expected.size:,} bytes")
        if f"{algorithm}:{hasher.hexdigest()}" != expected.checksum:
            raise _mismatch(url, tampered=tampered)
        coming.rename(into)
        await in_thread(self._shelf.keep, into, expected)


@contextlib.asynccontextmanager
async def open_depot(door: RepositoryDoor, shelf: Shelf, keyrings: Keyrings, folder: Path) -> AsyncIterator[Depot]:
    """Opens a depot for one fix; its files go when the block ends, what the shelf keeps stays."""
    with _disk(), workplace(folder) as place:
        yield RepositoryDepot(door, shelf, keyrings, place)


def _mismatch(url: str, *, tampered: bool) -> FixFailure:
    return FixFailure(
        FixReason.PACKAGE_TAMPERED if tampered else FixReason.INDEX_TAMPERED,
        f"{public(url)} is not what the signed index says: its hash is another one.",
        hint="Nothing of it was used. Ask another mirror; if that has the same, tell whoever runs the repository.",
    )


@contextlib.contextmanager
def _disk() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FixFailure(
            FixReason.DISK_FULL,
            "The disk that holds fetched packages is full.",
            hint="Make room below the data directory's `packages`, or lower DRYDOCK_FIXER_PACKAGES_CACHE_BYTES.",
        ) from error
