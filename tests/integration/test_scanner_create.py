"""A person's task: what the registry has, and what it says when it has it not, against both registries."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from services.kernel.clock import SystemClock
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import RandomIds
from services.kernel.model.digest import Digest, digest_of
from services.lab.push import push_image
from services.registry.limits import SourceSettings
from services.registry.open import open_repository
from services.rules.api import NewInstance
from services.scanner.api import ImageQuery, State
from services.scanner.application import ScannerApplication
from services.scanner.tags.account import Account
from services.scanner.tags.reads import open_tag_reads
from services.scanner.tags.store import SyncStore
from services.scanner.tasks.lookup import Lookup
from services.scanner.tasks.runs import Runs
from tests.builders.edge import real_rules
from tests.builders.images import an_image
from tests.builders.scanner import LOANS, ScannerBench, a_control
from tests.databases import migrated_pool
from tests.registries import RunningRegistry, StartRegistry


class Desk:
    """A scanner's application on a real registry with one repository, `team/app`."""

    def __init__(self, application: ScannerApplication, registry: RunningRegistry) -> None:
        self.application = application
        self.registry = registry

    def query(self, repository: str = "app", tag: str = "", digest: str = "") -> ImageQuery:
        named = Digest(digest) if digest else None
        return ImageQuery(instance="lab", namespace="team", repository=repository, tag=tag, digest=named)

    async def push(self, tag: str, *texts: str) -> Digest:
        return Digest(await push_image(self.registry.access, "team/app", tag, an_image(*texts)))

    async def refusal(self, **image: str) -> ServiceError:
        with pytest.raises(ServiceError) as caught:
            await self.application.create_task(self.query(**image))
        return caught.value


@pytest.fixture
async def desk(database: str, each_registry: StartRegistry) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        schemas = (("rules", "services.rules"), ("scanner", "services.scanner"))
        pool = await stack.enter_async_context(migrated_pool(database, *schemas))
        registry = await stack.enter_async_context(each_registry())
        bench, rules = ScannerBench(pool, database), real_rules(pool, SystemClock())
        tags = await stack.enter_async_context(open_tag_reads(database, bench.store))
        address = registry.access.address
        await rules.create_instance(NewInstance(name="lab", address=address, plain_http=True, default_rule=False))
        runs = Runs(pool, bench.runs, rules)
        application = ScannerApplication(
            pool=pool,
            store=bench.store,
            lookup=Lookup(pool, bench.store, tags, rules),
            intake=bench.intake,
            runs=runs,
            control=a_control(bench, runs, rules),
            rules=rules,
            open_source=functools.partial(open_repository, SourceSettings()),
            clock=SystemClock(),
            ids=RandomIds(),
            account=Account(pool, SyncStore()),
            loans=LOANS,
        )
        desk = Desk(application, registry)
        await desk.push("1.0")
        yield desk


async def test_a_task_begins_on_what_the_registry_has(desk: Desk) -> None:
    digest = await desk.push("1.0", "another")
    for image in (desk.query(tag="1.0"), desk.query(digest=digest), desk.query(tag="1.0", digest=digest)):
        task = await desk.application.create_task(image)
        assert (task.digest, task.tag, task.state) == (digest, image.tag, State.PENDING)


async def test_a_tag_that_the_registry_has_not_is_called_so(desk: Desk) -> None:
    error = await desk.refusal(tag="2.0")
    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "TAG_NOT_EXIST")
    assert error.message == "The registry has no tag team/app:2.0."


async def test_a_digest_that_the_registry_has_not_is_called_so(desk: Desk) -> None:
    digest = digest_of(b"nothing")
    error = await desk.refusal(digest=digest)
    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "DIGEST_NOT_EXIST")
    assert error.message == f"The registry has no image team/app@{digest}."


async def test_a_repository_that_the_registry_has_not_is_called_so(desk: Desk) -> None:
    for image in ({"tag": "1.0"}, {"digest": digest_of(b"nothing")}):
        error = await desk.refusal(repository="none", **image)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "REPO_NOT_EXIST")
        assert error.message == "The registry has no repository team/none."


async def test_a_tag_that_has_not_the_named_digest_moved(desk: Desk) -> None:
    former = (await desk.application.create_task(desk.query(tag="1.0"))).digest
    present = await desk.push("1.0", "another")
    for digest in (former, digest_of(b"never under that tag")):
        error = await desk.refusal(tag="1.0", digest=digest)
        assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "TAG_MOVED")
        assert error.message == f"team/app:1.0 is {present} now, not {digest}."
