"""From a push to a verdict and a notification, through real doors, against both registries."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg
import pytest

from drydock.scanner.v1 import scan_pb2
from services.kernel.model.access import RegistryAccess
from services.kernel.model.media import OCI_MANIFEST
from services.kernel.model.platform import Platform
from services.lab.events import Endpoint
from services.lab.image import Built, BuiltImage, build_image, build_index
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from services.lab.receiver import Received, serve_receiver
from tests.registries import RunningRegistry, StartRegistry
from tests.running import Client, client_of, running_drydock

AMD64, ARM64 = Platform(os="linux", architecture="amd64"), Platform(os="linux", architecture="arm64")
OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
JINJA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"
LIBRARIES = "usr/lib/python3/site-packages"


def an_image(platform: Platform = AMD64, *, salt: str = "", metadata: str = JINJA) -> BuiltImage:
    """An image with one vulnerable package."""
    base = LayerBuilder().file("etc/os-release", OS_RELEASE).file("salt", salt).build()
    app = LayerBuilder().file(f"{LIBRARIES}/Jinja2-2.10.dist-info/METADATA", metadata).build()
    return build_image([base, app], platform=platform)


class Scene:
    """A registry that notifies a Drydock, which tells a receiver."""

    def __init__(self, client: Client, registry: RunningRegistry, instance_id: str, webhook: Endpoint) -> None:
        self.client = client
        self.registry = registry
        self.instance_id = instance_id
        self.webhook = webhook

    async def tell(self, event: dict[str, object]) -> None:
        """Tells Drydock of an event as another replica of the registry would."""
        async with (
            aiohttp.ClientSession() as session,
            session.post(self.webhook.url, json={"events": [event]}, headers=self.webhook.headers) as answer,
        ):
            assert answer.status < 300, await answer.text()

    async def push(self, repository: str, tag: str, built: Built) -> str:
        return await push_image(self.registry.access, repository, tag, built)

    async def wait(self, repository: str, tag: str, digest: str = "") -> scan_pb2.Task:
        return await self.client.wait(self.instance_id, repository, tag, digest=digest)


@pytest.fixture
async def stack(database: str) -> AsyncIterator[AsyncExitStack]:
    """What a test opens; closed before its database goes."""
    del database
    async with AsyncExitStack() as opened:
        yield opened


async def set_up(
    stack: AsyncExitStack, data: Path, database: str, start: StartRegistry, *, default_rule: bool = True
) -> Scene:
    running = await stack.enter_async_context(running_drydock(data, database))
    client = await stack.enter_async_context(client_of(running))
    # The registry needs the webhook's address to start, and the instance the registry's: the latter can be moved.

    nowhere = RegistryAccess(address="127.0.0.1:1", plain_http=True)
    instance_id = await client.instance(nowhere, default_rule=default_rule)
    webhook = await client.webhook(instance_id)
    registry = await stack.enter_async_context(start(notify=webhook))
    await client.move(instance_id, registry.access.address)
    return Scene(client, registry, instance_id, webhook)


async def test_a_push_reaches_complete_with_no_further_call(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    scene = await set_up(stack, tmp_path / "data", database, each_registry)
    digest = await scene.push("team/app", "1.0", an_image())
    task = await scene.wait("team/app", "1.0", digest)
    assert task.state == scan_pb2.STATE_COMPLETE, task
    found = await scene.client.findings(scene.instance_id, "team/app", "1.0")
    assert found.digest == digest
    assert "CVE-2019-10906" in {finding.id for finding in found.findings}
    jinja = next(finding for finding in found.findings if finding.id == "CVE-2019-10906")
    assert jinja.path == f"/{LIBRARIES}/Jinja2-2.10.dist-info/METADATA"
    status = await scene.client.status(scene.instance_id, "team/app", "1.0")
    assert (status.is_success, status.status, status.scan_service) == (True, "COMPLETE", "SAS_SCAN_SERVICE")


async def test_the_same_digest_again_is_not_scanned_but_its_tag_and_its_rule_get_theirs(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    receiver = await stack.enter_async_context(serve_receiver())
    scene = await set_up(stack, tmp_path / "data", database, each_registry, default_rule=False)
    await scene.client.rule(scene.instance_id, await scene.client.target(receiver.url))
    built = an_image()
    first = await scene.push("team/app", "1.0", built)
    one = await scene.wait("team/app", "1.0", first)
    scanned_at = await _reports(database)
    await scene.push("team/app", "2.0", built)
    two = await scene.wait("team/app", "2.0", first)
    assert one.task_id != two.task_id
    for tag in ("1.0", "2.0"):
        await receiver.wait_for(partial(_tells_of, tag), 20)
    assert await _reports(database) == scanned_at


async def _reports(database: str) -> list[tuple[str, datetime]]:
    """Every report and when it was written: a second scan would write it anew."""
    connection = await asyncpg.connect(database)
    try:
        rows = await connection.fetch("SELECT scan_id, created_at FROM scanner.report")
    finally:
        await connection.close()
    return [(str(row["scan_id"]), row["created_at"]) for row in rows]


def _tells_of(tag: str, received: Received) -> bool:
    body = json.loads(received.body)
    return (body["tag"], body["status"]) == (tag, "COMPLETE")


async def test_a_tag_that_moves_is_scanned_anew_and_never_speaks_of_the_old_digest(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    scene = await set_up(stack, tmp_path / "data", database, each_registry)
    old = await scene.push("team/app", "1.0", an_image())
    await scene.wait("team/app", "1.0", old)
    harmless = an_image(salt="new", metadata="Metadata-Version: 2.1\nName: Jinja2\nVersion: 3.1.6\n\n")
    new = await scene.push("team/app", "1.0", harmless)
    task = await scene.wait("team/app", "1.0", new)
    assert task.state == scan_pb2.STATE_COMPLETE
    found = await scene.client.findings(scene.instance_id, "team/app", "1.0")
    assert found.digest == new
    assert "CVE-2019-10906" not in {finding.id for finding in found.findings}


async def test_an_older_push_that_another_replica_tells_of_late_does_not_take_the_tag_back(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    scene = await set_up(stack, tmp_path / "data", database, each_registry)
    old = await scene.push("team/app", "1.0", an_image())
    await scene.wait("team/app", "1.0", old)
    new = await scene.push("team/app", "1.0", an_image(salt="new"))
    ended = await scene.wait("team/app", "1.0", new)
    target = {"mediaType": OCI_MANIFEST, "digest": old, "repository": "team/app", "tag": "1.0"}
    earlier = "2020-01-01T00:00:00Z"
    known = {task.task_id for task in await scene.client.tasks(scene.instance_id)}
    await scene.tell({"id": "of-the-replica", "timestamp": earlier, "action": "push", "target": target})
    async with asyncio.timeout(20):
        while not (late := {t.task_id for t in await scene.client.tasks(scene.instance_id)} - known):
            await asyncio.sleep(0.05)
        while await _unsettled(database):
            await asyncio.sleep(0.05)
    task = await scene.wait("team/app", "1.0")
    assert (task.digest, task.task_id) == (new, ended.task_id)
    [told_late] = late
    assert (await scene.client.task(told_late)).digest == old


async def _unsettled(database: str) -> bool:
    """Whether an event that is taken is not yet seen by the tag, or the tag in doubt."""
    connection = await asyncpg.connect(database)
    try:
        events = await connection.fetchval("SELECT count(*) FROM scanner.seen_event")
        doubts = await connection.fetchval("SELECT count(*) FROM scanner.tag WHERE doubted_at IS NOT NULL")
    finally:
        await connection.close()
    return bool(events < 3 or doubts)


async def test_every_platform_of_an_index_is_scanned_and_the_tag_has_one_status(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    scene = await set_up(stack, tmp_path / "data", database, each_registry)
    index = build_index([an_image(AMD64), an_image(ARM64, salt="arm")], attestations=True)
    digest = await scene.push("team/multi", "1.0", index)
    task = await scene.wait("team/multi", "1.0", digest)
    assert task.state == scan_pb2.STATE_COMPLETE, task
    whole = await scene.client.task(task.task_id)
    assert [part.platform for part in whole.platforms] == ["linux/amd64", "linux/arm64"]
    found = await scene.client.findings(scene.instance_id, "team/multi", "1.0")
    jinja = [finding for finding in found.findings if finding.id == "CVE-2019-10906"]
    assert [list(finding.platforms) for finding in jinja] == [["linux/amd64", "linux/arm64"]]


async def test_pushes_that_arrive_together_all_reach_their_end(
    stack: AsyncExitStack, tmp_path: Path, database: str, each_registry: StartRegistry
) -> None:
    scene = await set_up(stack, tmp_path / "data", database, each_registry)

    async def one(number: int) -> int:
        digest = await scene.push("team/many", f"t{number}", an_image(salt=str(number)))
        return (await scene.wait("team/many", f"t{number}", digest)).state

    # The layer that all share is pushed once before: registries of version 2.8 lose one that many push at once.
    states = [await one(0), *await asyncio.gather(*(one(number) for number in range(1, 20)))]
    assert states == [scan_pb2.STATE_COMPLETE] * 20
