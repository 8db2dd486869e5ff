"""A running Drydock with an instance, an image in its registry, and access keys, for callers of the ACR door."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from drydock.gateway.v1 import admin_service_pb2 as admin
from drydock.gateway.v1.admin_service_pb2_grpc import AdminServiceStub
from drydock.rules.v1.rules_service_pb2 import ListRepositoriesRequest
from drydock.rules.v1.rules_service_pb2_grpc import RulesServiceStub
from services.kernel.model.access import RegistryAccess
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.lab.image import BuiltImage, build_image
from services.lab.layer import LayerBuilder
from services.lab.push import push_image
from tests.builders.malware import EICAR
from tests.registries import RunningRegistry, lab_registry
from tests.running import Client, client_of, running_drydock

LEAKED = "AKIA" + "4HZQTWNYBLK73RDV"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What a caller signs with."""

    access_key_id: str
    secret: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Who may call what, where, about which image."""

    client: Client
    registry: RunningRegistry
    endpoint: str
    """`HOST:PORT` of the HTTP door."""
    instance_id: str
    repo_id: str
    tag: str
    digest: str
    operator: Account
    viewer: Account

    async def key(self, name: str, role: admin.Role.ValueType) -> Account:
        """Makes an access key."""
        request = admin.CreateKeyRequest(name=name, role=role, access_key=True)
        made = await AdminServiceStub(self.client.channel).CreateKey(request)
        return Account(access_key_id=made.access_key_id, secret=made.access_key_secret)


def planted_image() -> BuiltImage:
    """An image with a vulnerable package, a leaked key and a malicious file."""
    layer = (
        LayerBuilder()
        .file("etc/os-release", 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n')
        .file("usr/lib/python3/site-packages/Jinja2-2.10.dist-info/METADATA", "Name: Jinja2\nVersion: 2.10\n\n")
        .file("root/.aws/config", f"aws_access_key_id={LEAKED}\n")
        .file("opt/test.com", EICAR)
    )
    return build_image([layer.build()])


@asynccontextmanager
async def acr_stage(data: Path, database: str) -> AsyncIterator[Stage]:
    """Starts everything, with `team/app:1.0` in the registry and not scanned."""
    nowhere = RegistryAccess(address="127.0.0.1:1", plain_http=True)
    async with AsyncExitStack() as stack:
        running = await stack.enter_async_context(running_drydock(data, database))
        client = await stack.enter_async_context(client_of(running))
        instance_id = await client.instance(nowhere, default_rule=False)
        webhook = await client.webhook(instance_id)
        registry = await stack.enter_async_context(lab_registry(notify=webhook))
        await client.move(instance_id, registry.access.address)
        digest = await push_image(registry.access, "team/app", "1.0", planted_image())
        await _known(client, instance_id)
        stage = Stage(
            client=client,
            registry=registry,
            endpoint=running.http,
            instance_id=instance_id,
            repo_id=repository_id(instance_id, RepositoryName(namespace="team", name="app")),
            tag="1.0",
            digest=digest,
            operator=Account(access_key_id="", secret=""),
            viewer=Account(access_key_id="", secret=""),
        )
        yield dataclasses.replace(
            stage,
            operator=await stage.key("sdk", admin.ROLE_OPERATOR),
            viewer=await stage.key("sdk-viewer", admin.ROLE_VIEWER),
        )


async def _known(client: Client, instance_id: str) -> None:
    """Waits until the push was heard of: a repository is known from then on."""
    request = ListRepositoriesRequest(instance=instance_id)
    async with asyncio.timeout(30):
        while not (await RulesServiceStub(client.channel).ListRepositories(request)).repositories:
            await asyncio.sleep(0.05)
