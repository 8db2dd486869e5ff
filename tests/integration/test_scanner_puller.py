"""Content that one repository has lost is read from another one that waits for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.scanner.puller import Puller
from services.scanner.reasons import Reason, ScanFailure
from services.scanner.records import ScannedImage, ScanRecord
from tests.builders.scanner import ScannerBench, image, scanned, scanner_bench


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


class Registry:
    """Rules and sources as far as the puller knows them: the repositories that have the content."""

    def __init__(self, *having: str) -> None:
        self.having = having
        self.asked: list[str] = []

    async def registry_access(self, instance: str) -> RegistryAccess:
        return RegistryAccess(address="127.0.0.1:1")

    @asynccontextmanager
    async def open(self, access: RegistryAccess, name: RepositoryName) -> AsyncIterator[str]:
        self.asked.append(name.path)
        if name.path not in self.having:
            raise ScanFailure(Reason.IMAGE_NOT_FOUND, f"{name.path} is gone.")
        yield name.path


def puller(scanner: ScannerBench, registry: Registry, scan: ScanRecord) -> Puller:
    class Pipeline:
        async def scan(self, source: object, *, name: str, reference: str) -> ScannedImage:
            return scanned(scan)

    return Puller(
        pool=scanner.pool,
        store=scanner.store,
        rules=registry,  # type: ignore[arg-type]  # the part it uses
        open_source=registry.open,  # type: ignore[arg-type]  # the part it uses
        pipeline=Pipeline(),  # type: ignore[arg-type]  # the part it uses
    )


async def the_scan(scanner: ScannerBench, scan_id: str) -> ScanRecord:
    async with scanner.pool.acquire() as db, db.transaction():
        return await scanner.store.lock_scan(db, scan_id)


async def test_the_next_repository_is_asked_when_the_first_has_lost_the_image(scanner: ScannerBench) -> None:
    first = await scanner.ask(image(repository="first"))
    await scanner.ask(image(repository="second", repo_id="crr-2"))
    scan = await the_scan(scanner, first.scan_id)
    registry = Registry("team/second")
    await puller(scanner, registry, scan).scan(scan)
    assert registry.asked == ["team/first", "team/second"]


async def test_an_image_that_nobody_has_is_not_found(scanner: ScannerBench) -> None:
    first = await scanner.ask(image(repository="first"))
    scan = await the_scan(scanner, first.scan_id)
    with pytest.raises(ScanFailure) as caught:
        await puller(scanner, Registry(), scan).scan(scan)
    assert caught.value.why is Reason.IMAGE_NOT_FOUND
