"""What the demo plays on: a registry, a receiver and the gateway's client, introduced to each other."""

from __future__ import annotations

import dataclasses
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from drydock.gateway.v1.admin_service_pb2 import ROLE_WEBHOOK, CreateKeyRequest
from drydock.notifier.v1 import notifier_service_pb2 as notifier
from drydock.rules.v1 import instance_pb2, rules_service_pb2, scan_rule_pb2
from services.cli.connect import CALL_SECONDS, Client, read_token
from services.kernel.rpc.client import open_channel, translated_errors
from services.lab.events import Endpoint
from services.lab.receiver import Receiver, serve_receiver
from services.lab.registry import LabRegistry, serve_registry
from services.standalone import Running


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Everything in its place."""

    client: Client
    registry: LabRegistry
    receiver: Receiver
    instance: instance_pb2.Instance
    rule: scan_rule_pb2.ScanRule
    target: notifier.Target


@asynccontextmanager
async def set_stage(running: Running) -> AsyncIterator[Stage]:
    """Registers a registry, a rule and a target through the gateway's own door, then starts the registry.

    Raises:
        ServiceError: a call was refused.
    """
    token = read_token(running.admin_token_file.parent)
    address = _free_address()
    async with (
        serve_receiver() as receiver,
        open_channel(running.grpc, token=token, deadline_seconds=CALL_SECONDS) as channel,
    ):
        client = Client(channel)
        with translated_errors():
            target = await _create_target(client, receiver.url)
            instance = await _create_instance(client, address)
            rule = await _create_rule(client, instance.instance_id, target.target_id)
            endpoint = await _webhook(client, running.http, instance.instance_id)
        async with serve_registry(notify=endpoint, port=int(address.rpartition(":")[2])) as registry:
            yield Stage(
                client=client, registry=registry, receiver=receiver, instance=instance, rule=rule, target=target
            )


async def _create_target(client: Client, url: str) -> notifier.Target:
    target = notifier.Target(name="demo", kind=notifier.TARGET_KIND_HTTP, url=url)
    return (await client.notifier.CreateTarget(notifier.CreateTargetRequest(target=target))).target


async def _create_instance(client: Client, address: str) -> instance_pb2.Instance:
    new = instance_pb2.Instance(name="demo", region="here", address=address, plain_http=True)
    # By name: the story shows all four kinds of finding, whatever else is installed here.
    request = rules_service_pb2.CreateInstanceRequest(instance=new, engine="security-center", no_default_rule=True)
    return (await client.rules.CreateInstance(request)).instance


async def _create_rule(client: Client, instance_id: str, target_id: str) -> scan_rule_pb2.ScanRule:
    new = scan_rule_pb2.ScanRule(
        instance_id=instance_id,
        name="every push of the shop",
        scope=scan_rule_pb2.SCOPE_NAMESPACE,
        namespaces=["shop"],
        tag_pattern=".*",
        trigger=scan_rule_pb2.TRIGGER_AUTO,
        target_ids=[target_id],
    )
    return (await client.rules.CreateScanRule(rules_service_pb2.CreateScanRuleRequest(rule=new))).rule


async def _webhook(client: Client, http: str, instance_id: str) -> Endpoint:
    key = CreateKeyRequest(name="demo-registry", role=ROLE_WEBHOOK, instance=instance_id)
    token = (await client.admin.CreateKey(key)).token
    return Endpoint(
        url=f"http://{http}/webhooks/distribution/{instance_id}", headers={"Authorization": f"Bearer {token}"}
    )


def _free_address() -> str:
    """Finds a free port of loopback: the registry's address must be known before its webhook is."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"
