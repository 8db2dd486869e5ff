"""Kept in step: what webhooks lost is complete after one reconciliation, and what was deleted is gone."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg
import grpc
import pytest

from drydock.rules.v1 import rules_service_pb2, sync_pb2
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from drydock.scanner.v1 import scan_pb2, scanner_service_pb2
from drydock.scanner.v1 import sync_pb2 as seen_pb2
from drydock.scanner.v1.scanner_service_pb2_grpc import ScannerServiceStub
from services.kernel.model.access import RegistryAccess
from services.lab.events import Endpoint
from services.lab.push import push_image
from tests.acceptance.test_push_to_verdict import an_image
from tests.registries import RunningRegistry, StartRegistry, real_registry, registry_program
from tests.running import Client, client_of, running_drydock

NOWHERE = Endpoint(url="http://127.0.0.1:9/", backoff_seconds=3600)
"""A webhook that is down."""


class Scene:
    """A Drydock, and an instance of it that is synced with a registry."""

    def __init__(self, client: Client, instance_id: str, database: str) -> None:
        self.client = client
        self.instance_id = instance_id
        self.database = database
        self.rules = RulesServiceStub(client.channel)
        self.scanner = ScannerServiceStub(client.channel)
        self.registry: RunningRegistry | None = None

    async def use(self, registry: RunningRegistry) -> None:
        self.registry = registry
        await self.client.move(self.instance_id, registry.access.address)

    @property
    def access(self) -> RegistryAccess:
        assert self.registry is not None
        return self.registry.access

    async def sync(self, *, on: bool) -> None:
        await self.rules.SetSync(rules_service_pb2.SetSyncRequest(instance=self.instance_id, on=on))

    async def reconcile(self) -> sync_pb2.Sync:
        """Reconciles on demand, and waits for the end."""
        await self.rules.SyncNow(rules_service_pb2.SyncNowRequest(instance=self.instance_id))
        async with asyncio.timeout(60):
            while True:
                request = rules_service_pb2.GetSyncRequest(instance=self.instance_id)
                answer = (await self.rules.GetSync(request)).sync
                if answer.state == sync_pb2.SYNC_STATE_WAITING:
                    return answer
                await asyncio.sleep(0.05)

    async def push(self, repository: str, tag: str, content: str = "") -> str:
        return await push_image(self.access, repository, tag, an_image(salt=content or tag))

    async def delete(self, repository: str, reference: str) -> None:
        url = f"http://{self.access.address}/v2/{repository}/manifests/{reference}"
        async with aiohttp.ClientSession() as session, session.delete(url) as answer:
            assert answer.status == 202

    async def complete(self, repository: str, tag: str, digest: str) -> scan_pb2.Task:
        task = await self.client.wait(self.instance_id, repository, tag, digest=digest)
        assert task.state == scan_pb2.STATE_COMPLETE, task
        return task

    async def status(self, repository: str, tag: str = "", digest: str = "") -> str:
        """The digest that the status speaks of, or why there is none."""
        namespace, _, name = repository.rpartition("/")
        image = scan_pb2.ImageRef(
            instance=self.instance_id, namespace=namespace, repository=name, tag=tag, digest=digest
        )
        try:
            request = scanner_service_pb2.GetImageStatusRequest(image=image)
            return (await self.scanner.GetImageStatus(request)).task.digest
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.NOT_FOUND, error
            return error.details() or ""

    async def tags(self, repository: str) -> dict[str, seen_pb2.SeenTag]:
        namespace, _, name = repository.rpartition("/")
        request = scanner_service_pb2.ListTagsRequest(
            instance=self.instance_id, namespace=namespace, repository=name
        )
        return {tag.tag: tag for tag in (await self.scanner.ListTags(request)).tags}

    async def removals(self) -> list[seen_pb2.Removal]:
        request = scanner_service_pb2.ListRemovalsRequest(instance=self.instance_id)
        return list((await self.scanner.ListRemovals(request)).removals)

    async def reports(self) -> int:
        connection = await asyncpg.connect(self.database)
        try:
            return int(await connection.fetchval("SELECT count(*) FROM scanner.report"))
        finally:
            await connection.close()


async def until(ask: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(60):
        while not await ask():
            await asyncio.sleep(0.1)


@pytest.fixture
async def stack(database: str) -> AsyncIterator[AsyncExitStack]:
    """What a test opens; closed before its database goes."""
    del database
    async with AsyncExitStack() as opened:
        yield opened


@pytest.fixture
async def scene(stack: AsyncExitStack, tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """A Drydock whose grace period is over at once."""
    monkeypatch.setenv("DRYDOCK_SCANNER_REMOVAL_GRACE_SECONDS", "0")
    monkeypatch.setattr("services.scanner.tags.purge._INTERVAL_SECONDS", 0.2)
    running = await stack.enter_async_context(running_drydock(tmp_path / "data", database))
    client = await stack.enter_async_context(client_of(running))
    nowhere = RegistryAccess(address="127.0.0.1:1", plain_http=True)
    return Scene(client, await client.instance(nowhere), database)


async def test_pushes_pulls_and_deletions_keep_the_picture_true(
    stack: AsyncExitStack, scene: Scene, each_registry: StartRegistry
) -> None:
    await scene.sync(on=True)
    webhook = await scene.client.webhook(scene.instance_id)
    await scene.use(await stack.enter_async_context(each_registry(notify=webhook)))
    digest = await scene.push("team/app", "1.0", "same")
    await scene.push("team/app", "stable", "same")
    await scene.complete("team/app", "1.0", digest)
    await scene.complete("team/app", "stable", digest)
    assert not (await scene.tags("team/app"))["1.0"].HasField("pull_time")  # our own pull is none

    url = f"http://{scene.access.address}/v2/team/app/manifests/1.0"
    accept = {"Accept": "application/vnd.oci.image.manifest.v1+json", "User-Agent": "containerd/1.7"}
    async with aiohttp.ClientSession() as session, session.get(url, headers=accept) as answer:
        assert answer.status == 200

    async def is_pulled() -> bool:
        return (await scene.tags("team/app"))["1.0"].HasField("pull_time")

    await until(is_pulled)

    if scene.access.address and (await deletes_tags(scene)):
        await until(partial(lacks, scene, "team/app", "1.0"))
        assert await scene.status("team/app", "stable") == digest  # a living tag has the digest
        assert "is deleted" in await scene.status("team/app", "1.0")
    await scene.delete("team/app", digest)
    await until(partial(lacks, scene, "team/app", "stable"))

    async def has_no_report() -> bool:
        return await scene.reports() == 0

    await until(has_no_report)
    assert {removal.cause for removal in await scene.removals()} >= {"TAG_DELETED", "DIGEST_DELETED"}


async def deletes_tags(scene: Scene) -> bool:
    """Deletes the tag 1.0 alone; the older ones of real registries cannot."""
    url = f"http://{scene.access.address}/v2/team/app/manifests/1.0"
    async with aiohttp.ClientSession() as session, session.delete(url) as answer:
        return answer.status == 202


async def lacks(scene: Scene, repository: str, tag: str) -> bool:
    return tag not in await scene.tags(repository)


@pytest.mark.slow
@pytest.mark.real_registry
async def test_what_a_registry_could_not_tell_is_complete_after_one_reconciliation(
    stack: AsyncExitStack, scene: Scene, tmp_path: Path
) -> None:
    """A registry whose webhook is down, and that is restarted: its queue, which is in memory, is lost."""
    folder = tmp_path / "registry"
    folder.mkdir()
    program = registry_program()
    async with real_registry(program, folder) as quiet:
        await scene.use(quiet)
        moved = await scene.push("team/moved", "1.0", "old")
        deleted = await scene.push("team/app", "deleted")
        gone = await scene.push("team/gone", "1.0")
        kept = await scene.push("team/app", "kept")
        await scene.sync(on=True)
        first = await scene.reconcile()
        assert (first.repositories, first.tags, first.reason) == (3, 4, "")
        for repository, tag, digest in (
            ("team/moved", "1.0", moved),
            ("team/app", "deleted", deleted),
            ("team/gone", "1.0", gone),
            ("team/app", "kept", kept),
        ):
            await scene.complete(repository, tag, digest)
    scanned = await scene.reports()
    async with real_registry(program, folder, notify=NOWHERE) as lost:
        await scene.use(lost)
        moved = await scene.push("team/moved", "1.0", "new")
        new = await scene.push("team/new", "1.0", "kept")  # of a digest that is known
        await scene.delete("team/app", deleted)
    shutil.rmtree(folder / "data/docker/registry/v2/repositories/team/gone")
    async with real_registry(program, folder) as back:
        await scene.use(back)
        second = await scene.reconcile()
        assert (second.repositories, second.repositories_gone, second.skipped) == (3, 1, 0)
        await scene.complete("team/moved", "1.0", moved)
        await scene.complete("team/new", "1.0", new)
        await until(partial(lacks, scene, "team/app", "deleted"))
        await until(partial(lacks, scene, "team/gone", "1.0"))
        assert list(await scene.tags("team/app")) == ["kept"]
        assert await scene.status("team/app", "kept") == kept

        async def only_living() -> bool:
            # Of four, "deleted" and "gone" went; "moved" is new; what is known is not scanned again.
            return await scene.reports() == scanned - 2 + 1

        await until(only_living)
        assert {(r.cause, r.repository, r.tag) for r in await scene.removals()} == {
            ("TAG_DELETED", "app", "deleted"),
            ("REPOSITORY_DELETED", "gone", ""),
        }
        third = await scene.reconcile()
        assert (third.walk, third.tags, third.repositories_gone) == (second.walk + 1, 3, 0)
    assert await scene.status("team/gone", digest=gone) != gone
    assert await scene.status("team/app", digest=deleted) != deleted


async def test_a_deleted_instance_leaves_nothing(
    stack: AsyncExitStack, scene: Scene, each_registry: StartRegistry
) -> None:
    webhook = await scene.client.webhook(scene.instance_id)
    await scene.use(await stack.enter_async_context(each_registry(notify=webhook)))
    digest = await scene.push("team/app", "1.0")
    await scene.complete("team/app", "1.0", digest)
    await scene.rules.DeleteInstance(rules_service_pb2.DeleteInstanceRequest(instance=scene.instance_id))

    async def has_nothing() -> bool:
        return not (await scene.reports() or await scene.client.tasks(scene.instance_id))

    await until(has_nothing)
    [removal] = await scene.removals()
    assert (removal.cause, removal.repository, removal.tasks) == ("INSTANCE_DELETED", "app", 1)
