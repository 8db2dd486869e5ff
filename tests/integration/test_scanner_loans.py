"""Credentials that somebody lends for a scan: sealed, used for their own task alone, gone when it has ended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr

from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest, digest_of
from services.kernel.model.platform import Platform
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import Reason, ScanFailure
from services.kernel.secrets import SecretBox
from services.registry.interface import Descriptor, ImageIndex, IndexChild
from services.registry.limits import ImageLimits
from services.scanner.records import Lease, ScannedImage, ScanRecord
from services.scanner.tasks.loans import Loans
from services.scanner.tasks.run_store import CANCELLED
from services.scanner.work.puller import Puller
from tests.builders.scanner import LOANS, ScannerBench, image, scanned_digest, scanner_bench

SECRET = "r0b0t-s3cret"


@pytest.fixture
async def scanner(database: str) -> AsyncIterator[ScannerBench]:
    async with scanner_bench(database) as bench:
        yield bench


class Registry:
    """Rules, registry and pipeline in one: lets in whoever has one of the user names, the instance's own is ""."""

    def __init__(self, *users: str, index: ImageIndex | None = None, loans: Loans = LOANS) -> None:
        self.users = users
        self.asked: list[tuple[str, str, str]] = []
        self._index = index
        self._puller = Puller(
            rules=self,  # type: ignore[arg-type]  # the part it uses
            loans=loans,
            open_source=self.open,  # type: ignore[arg-type]  # the part it uses
            pipeline=self,  # type: ignore[arg-type]  # the part it uses
            trivy=self,  # type: ignore[arg-type]  # nobody asks it
            limits=ImageLimits(),
        )

    async def registry_access(self, instance: str) -> RegistryAccess:
        return RegistryAccess(address="own.example")

    @asynccontextmanager
    async def open(self, access: RegistryAccess, name: RepositoryName) -> AsyncIterator[str]:
        self.asked.append((access.address, access.username, access.password.get_secret_value()))
        yield access.username

    async def scan(self, source: str, *, name: str, reference: str, lease: Lease) -> ScannedImage | ImageIndex:
        if source not in self.users:
            raise ScanFailure(Reason.REGISTRY_UNAUTHORIZED, f"{source or 'the instance'} may not pull.")
        if self._index is not None and name == self._index.digest:
            return self._index
        return scanned_digest(Digest(name))

    async def __call__(self, scan: ScanRecord) -> ScannedImage | ImageIndex:
        return await self._puller.scan(Lease(scan_id=scan.scan_id, fence=1, attempts=1, lane=0), scan)


def robot(name: str) -> RegistryAccess:
    return RegistryAccess(address="lent.example", plain_http=True, username=name, password=SecretStr(SECRET))


async def test_a_loan_pulls_what_it_was_lent_for_and_is_gone_afterwards(scanner: ScannerBench) -> None:
    asked = await scanner.lend(image(), robot("robot"))
    [row] = await scanner.pool.fetch("SELECT t::text AS whole, loan FROM scanner.task AS t")
    assert row["loan"]
    assert SECRET not in row["whole"] + repr(row["loan"])

    registry = Registry("robot")
    [task] = await scanner.work_until(registry, asked.task_id)

    assert task.outcome.state.value == "COMPLETE"
    assert registry.asked == [("lent.example", "robot", SECRET)]
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.task WHERE loan IS NOT NULL") == 0
    assert not any(SECRET.encode() in event.SerializeToString() for event in await scanner.told())


async def test_a_loan_that_is_refused_fails_its_own_task_only(scanner: ScannerBench) -> None:
    bad = await scanner.lend(image(), robot("stranger"))
    push = await scanner.ask(image())
    registry = Registry("")
    tasks = await scanner.work_until(registry, bad.task_id, push.task_id)
    assert [task.outcome.state.value for task in tasks] == ["COMPLETE", "COMPLETE"]  # one scan did for both
    assert registry.asked == [("own.example", "", "")]

    late = await scanner.lend(image(b"two"), robot("stranger"))
    [task] = await scanner.work_until(registry, late.task_id)
    assert task.outcome.reason == "REGISTRY_UNAUTHORIZED"
    assert task.outcome.message.startswith("stranger may not pull. The credentials came with the request")
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.task WHERE loan IS NOT NULL") == 0


async def test_a_push_that_joins_while_a_loan_is_refused_is_scanned(scanner: ScannerBench) -> None:
    bad = await scanner.lend(image(), robot("stranger"))
    registry, joined = Registry(""), list[str]()

    async def work(scan: ScanRecord) -> ScannedImage | ImageIndex:
        if not joined:
            joined.append((await scanner.ask(image())).task_id)
        return await registry(scan)

    [refused] = await scanner.work_until(work, bad.task_id)
    [push] = await scanner.work_until(work, *joined)
    assert refused.outcome.reason == "REGISTRY_UNAUTHORIZED"
    assert push.outcome.state.value == "COMPLETE"
    assert [user for _, user, _ in registry.asked] == ["stranger", ""]


async def test_an_instance_that_is_not_let_in_fails_no_task_that_brought_a_loan(scanner: ScannerBench) -> None:
    push, lent = await scanner.ask(image()), await scanner.lend(image(), robot("robot"))
    tasks = await scanner.work_until(Registry("robot"), push.task_id, lent.task_id)
    assert [task.outcome.reason or task.outcome.state.value for task in tasks] == [
        "REGISTRY_UNAUTHORIZED",
        "COMPLETE",
    ]


async def test_each_loan_speaks_for_itself(scanner: ScannerBench) -> None:
    names = ("good", "bad", "worse")
    lent = [await scanner.lend(image(), robot(name)) for name in names]
    registry = Registry("good")
    tasks = await scanner.work_until(registry, *(task.task_id for task in lent))
    assert [task.outcome.reason for task in tasks] == ["", "REGISTRY_UNAUTHORIZED", "REGISTRY_UNAUTHORIZED"]
    # The one that came last first: where tokens run out, it has the longest to live.
    assert [user for _, user, _ in registry.asked] == ["worse", "bad", "good"]


async def test_a_loan_serves_every_attempt(scanner: ScannerBench) -> None:
    lent = await scanner.lend(image(), robot("robot"))
    registry = Registry("robot")

    async def work(scan: ScanRecord) -> ScannedImage | ImageIndex:
        found = await registry(scan)
        if len(registry.asked) < scanner.settings.attempts:
            raise ScanFailure(Reason.REGISTRY_TIMEOUT, "It takes too long.")
        return found

    [task] = await scanner.work_until(work, lent.task_id)
    assert task.outcome.state.value == "COMPLETE"
    assert registry.asked == [("lent.example", "robot", SECRET)] * scanner.settings.attempts


async def test_platforms_are_pulled_with_the_loan_of_their_index(scanner: ScannerBench) -> None:
    child = Descriptor(media_type="m", digest=digest_of(b"amd64"), size=1)
    platform = Platform(os="linux", architecture="amd64")
    index = ImageIndex(digest=digest_of(b"index"), children=(IndexChild(descriptor=child, platform=platform),))
    lent = await scanner.lend(image(b"index"), robot("robot"))
    registry = Registry("robot", index=index)
    [task] = await scanner.work_until(registry, lent.task_id)
    assert task.outcome.state.value == "COMPLETE"
    assert registry.asked == [("lent.example", "robot", SECRET)] * 2


async def test_a_loan_that_was_sealed_with_another_key_says_so(scanner: ScannerBench) -> None:
    lent = await scanner.lend(image(), robot("robot"))
    elsewhere = Registry("robot", loans=Loans(SecretBox(b"x" * 32)))
    [task] = await scanner.work_until(elsewhere, lent.task_id)
    assert task.outcome.reason == "REGISTRY_UNAUTHORIZED"
    assert "DRYDOCK_SECRET_KEY" in task.outcome.message
    assert not elsewhere.asked


async def test_a_loan_opens_for_its_own_task_only() -> None:
    sealed = LOANS.seal("one", robot("robot"))
    assert LOANS.open("one", sealed) == robot("robot")
    with pytest.raises(ScanFailure):
        LOANS.open("another", sealed)


async def test_a_task_that_is_called_off_gives_its_loan_back(scanner: ScannerBench) -> None:
    lent = await scanner.lend(image(), robot("robot"))
    async with scanner.pool.acquire() as db:
        await scanner.runs.cancel_tasks(db, [lent.task_id], CANCELLED, lent.created_at)
    assert await scanner.pool.fetchval("SELECT count(*) FROM scanner.task WHERE loan IS NOT NULL") == 0
