"""Many images on layers that all share, and the requests to scan them, as a rule over a registry makes them."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.events.v1.scan_request_pb2 import ScanRequest
from services.kernel.bus.interface import BULK_REQUESTS, Message
from services.kernel.bus.postgres import PostgresBus
from services.kernel.db import open_pool
from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.reference import parse_repository
from services.kernel.model.repository_id import repository_id
from services.kernel.wakeup import Wakeups
from services.lab.image import BuiltImage, build_image
from services.lab.layer import BuiltLayer, LayerBuilder
from services.lab.push import open_push, push_blob, push_manifest
from tests.benchmarks.stage import Stage

_OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
_SYSTEM_PACKAGES = 120
_PYTHON_PACKAGES = 30
_AT_ONCE = 8
_PUBLISHED_AT_ONCE = 500


def shared_layers() -> Sequence[BuiltLayer]:
    """A Debian with some packages, and an application with some more on it."""
    status = "".join(
        f"Package: library{number}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{number}-1\n\n"
        for number in range(_SYSTEM_PACKAGES)
    )
    base = LayerBuilder().file("etc/os-release", _OS_RELEASE).file("var/lib/dpkg/status", status).build()
    app = LayerBuilder().file(
        "usr/lib/python3/site-packages/Jinja2-2.10.dist-info/METADATA",
        "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n",
    )
    for number in range(_PYTHON_PACKAGES):
        metadata = f"Metadata-Version: 2.1\nName: module{number}\nVersion: 1.{number}\n\n"
        app.file(f"usr/lib/python3/site-packages/module{number}-1.{number}.dist-info/METADATA", metadata)
    return (base, app.build())


def image_on(layers: Sequence[BuiltLayer], name: str) -> BuiltImage:
    """An image of its own by its configuration alone."""
    return build_image(layers, config={"config": {"User": "1000", "Labels": {"name": name}}})


async def put_images(access: RegistryAccess, repositories: Sequence[str], count: int) -> Mapping[str, Digest]:
    """Puts so many images into each repository, on layers that all share; returns digests by `REPOSITORY:TAG`."""
    layers = shared_layers()
    names = [f"{repository}:t{number}" for repository in repositories for number in range(count)]
    images = {name: image_on(layers, name) for name in names}
    waiting = iter(images.items())
    async with open_push(access) as client, asyncio.TaskGroup() as group:
        for repository in repositories:
            for layer in layers:
                await push_blob(client, repository, layer.digest, layer.content)

        async def put() -> None:
            for name, image in waiting:
                repository, _, tag = name.rpartition(":")
                for digest, content in image.blobs.items():
                    if all(digest != layer.digest for layer in layers):
                        await push_blob(client, repository, digest, content)
                await push_manifest(client, repository, tag, image.media_type, image.manifest)

        for _ in range(_AT_ONCE):
            group.create_task(put())
    return {name: image.digest for name, image in images.items()}


def requests_for(
    instance_id: str, digests: Mapping[str, Digest], lane: ScanRequest.Lane.ValueType
) -> Sequence[Message]:
    """Returns a request for each image, with a task of its own."""
    return list(_requests(instance_id, digests, lane))


async def publish(bus: PostgresBus, messages: Sequence[Message]) -> None:
    """Publishes in batches as an outbox does."""
    for first in range(0, len(messages), _PUBLISHED_AT_ONCE):
        await bus.publish(messages[first : first + _PUBLISHED_AT_ONCE])


@contextlib.asynccontextmanager
async def bus_of(stage: Stage) -> AsyncIterator[PostgresBus]:
    """Opens the bus of a Drydock that runs on PostgreSQL alone."""
    wakeups, stopping = Wakeups(stage.database_url), asyncio.Event()
    async with open_pool(stage.database_url, application_name="bench") as pool, asyncio.TaskGroup() as tasks:
        tasks.create_task(wakeups.run(stopping))
        try:
            yield PostgresBus(pool, stage.database_url, wakeups, RandomIds())
        finally:
            stopping.set()


def _requests(
    instance_id: str, digests: Mapping[str, Digest], lane: ScanRequest.Lane.ValueType
) -> Iterator[Message]:
    now = Timestamp()
    now.GetCurrentTime()
    for name, digest in digests.items():
        path, _, tag = name.rpartition(":")
        repository = parse_repository(path)
        request = ScanRequest(
            task_id=str(uuid.uuid4()),
            instance_id=instance_id,
            repo_id=repository_id(instance_id, repository),
            namespace=repository.namespace,
            repository=repository.name,
            tag=tag,
            digest=digest,
            engine="SECURITY_CENTER",
            requested_at=now,
            lane=lane,
        )
        yield Message(topic=BULK_REQUESTS, key=digest.encode(), value=request.SerializeToString())
