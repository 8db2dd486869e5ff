"""A person's task: what the registry has, and what it says when it has it not, against both registries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest, digest_of
from services.kernel.rpc import call_context
from services.lab.faults import Delay
from services.lab.push import push_image
from services.scanner.api import ImageQuery, State
from services.scanner.application import ScannerApplication
from tests.builders.application import scanner_stage
from tests.builders.images import an_image
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
    async with each_registry() as registry, scanner_stage(database, registry.access.address) as stage:
        desk = Desk(stage.application, registry)
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


@pytest.mark.parametrize("each_registry", ["lab"], indirect=True)
async def test_a_registry_that_is_too_slow_is_told_while_the_caller_still_listens(desk: Desk) -> None:
    assert desk.registry.lab is not None
    desk.registry.lab.faults.add("/v2/*/manifests/*", Delay(30))
    call_context.enter(1.0)
    async with asyncio.timeout(1.0):
        error = await desk.refusal(tag="1.0")
    assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "REGISTRY_TIMEOUT")
    assert desk.registry.access.address in error.message


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
