"""Pushes as a registry tells of them: its own recorded envelope, with images that are really there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from services.kernel.model.access import RegistryAccess
from services.lab.events import Endpoint
from services.lab.image import BuiltImage, build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from tests.benchmarks.stage import Stage
from tests.registries import lab_registry

REPOSITORY = "team/app"
_ENVELOPE = Path(__file__).parents[1] / "fixtures" / "events" / "registry_push_event.json"
_OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
_JINJA = "Metadata-Version: 2.1\nName: Jinja2\nVersion: 2.10\n\n"


def small_image(salt: str) -> BuiltImage:
    """An image with one vulnerable package; another salt makes another digest, on a base that all share."""
    base = LayerBuilder().file("etc/os-release", _OS_RELEASE).build()
    app = (
        LayerBuilder()
        .file("usr/lib/python3/site-packages/Jinja2-2.10.dist-info/METADATA", _JINJA)
        .file("salt", salt)
        .build()
    )
    return build_image([base, app])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """A registry that Drydock looks after, and the door for what it tells."""

    instance_id: str
    access: RegistryAccess
    endpoint: Endpoint
    http: aiohttp.ClientSession

    async def put(self, tag: str) -> str:
        """Puts an image of its own under a tag and tells nobody; returns its digest."""
        return await push_image(self.access, REPOSITORY, tag, small_image(tag))

    async def tell(self, tag: str, digest: str) -> None:
        """Sends the envelope of a push; returns once Drydock has answered that it took it."""
        body = json.dumps(an_envelope(tag, digest))
        headers = {"content-type": "application/vnd.docker.distribution.events.v1+json", **self.endpoint.headers}
        async with self.http.post(self.endpoint.url, data=body, headers=headers) as response:
            assert (response.status, (await response.json())["accepted"]) == (202, 1)


@contextlib.asynccontextmanager
async def pushes_to(stage: Stage, *, default_rule: bool = True) -> AsyncIterator[Pushes]:
    """Runs a registry in this process and registers it with a webhook key."""
    async with (
        lab_registry() as registry,
        pushes_from(stage, registry.access, default_rule=default_rule) as pushes,
    ):
        yield pushes


@contextlib.asynccontextmanager
async def pushes_from(stage: Stage, access: RegistryAccess, *, default_rule: bool = True) -> AsyncIterator[Pushes]:
    """Registers a registry that runs already, with a webhook key."""
    async with aiohttp.ClientSession() as http:
        instance_id = await stage.client.instance(access, default_rule=default_rule)
        endpoint = await stage.client.webhook(instance_id)
        yield Pushes(instance_id=instance_id, access=access, endpoint=endpoint, http=http)


def an_envelope(tag: str, digest: str, repository: str = REPOSITORY) -> Any:
    """Returns the recorded envelope, with these names in it."""
    envelope = json.loads(_ENVELOPE.read_text())
    [event] = envelope["events"]
    event["id"] = f"{tag}-{digest}"
    event["target"] |= {"repository": repository, "tag": tag, "digest": digest}
    return envelope
