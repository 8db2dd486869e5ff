"""The notifier as a server: a scan event on the bus reaches a receiver, and gRPC speaks the contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from drydock.notifier.v1 import notifier_service_pb2 as pb
from drydock.notifier.v1 import notifier_service_pb2_grpc
from services.kernel.bus.interface import Bus
from services.kernel.db import Pool
from services.kernel.errors import ServiceError
from services.kernel.ids import RandomIds
from services.kernel.rpc.client import open_channel, translated_errors
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from services.kernel.secrets import SecretBox
from services.notifier.api import NewTarget, NotifierApi, TargetKind
from services.notifier.servicer import NotifierServicer
from services.notifier.settings import NotifierSettings
from services.notifier.wiring import server
from tests.builders.ground import a_ground, end
from tests.builders.guards import Anyone
from tests.builders.notifier import scan_event, serve_site


@asynccontextmanager
async def running_notifier(url: str) -> AsyncIterator[tuple[NotifierApi, Bus, Pool]]:
    async with (
        a_ground(url, ("notifier", "services.notifier")) as ground,
        server(ground, box=SecretBox(b"k" * 32), settings=NotifierSettings()) as api,
    ):
        yield api, ground.bus, ground.pool
        await end(ground)


async def test_a_scan_event_on_the_bus_reaches_its_target_once(database: str) -> None:
    async with running_notifier(database) as (api, bus, pool), serve_site() as site, asyncio.timeout(30):
        target = await api.create_target(NewTarget(name="chat", kind=TargetKind.HTTP, url=site.url))
        event = scan_event(target.target_id)
        await bus.publish([event.message, event.message])
        # The next event of the same key is delivered after both: by then a second delivery would have been made.
        later = scan_event(target.target_id)
        await bus.publish([later.message])
        while await pool.fetchval("SELECT count(*) FROM notifier.delivery WHERE state = 'DELIVERED'") < 2:
            await asyncio.sleep(0.02)
        assert len(site.hits) == 2


async def test_targets_live_and_die_over_grpc(database: str) -> None:
    interceptor = CallInterceptor(guard=Anyone(), ids=RandomIds(), metrics=RpcMetrics(CollectorRegistry()))
    async with running_notifier(database) as (api, _, _):
        service = Service(
            name="drydock.notifier.v1.NotifierService",
            add=lambda grpc_server: notifier_service_pb2_grpc.add_NotifierServiceServicer_to_server(
                NotifierServicer(api), grpc_server
            ),
        )
        async with (
            serve("127.0.0.1:0", [service], interceptors=[interceptor]) as running,
            open_channel(running.address) as channel,
        ):
            stub = notifier_service_pb2_grpc.NotifierServiceStub(channel)
            said = pb.Target(name="chat", kind=pb.TARGET_KIND_HTTPS, url="https://hooks.example/x")
            made = (await stub.CreateTarget(pb.CreateTargetRequest(target=said))).target
            assert (made.kind, made.url) == (pb.TARGET_KIND_HTTPS, "https://hooks.example/x")
            assert list((await stub.ListTargets(pb.ListTargetsRequest())).targets) == [made]
            for reason, wrong in (
                ("INVALID_TARGET_KIND", pb.Target(name="b", url="http://h/")),
                ("INVALID_URL", pb.Target(name="b", kind=pb.TARGET_KIND_HTTP, url="https://h/")),
            ):
                with pytest.raises(ServiceError) as caught, translated_errors():
                    await stub.CreateTarget(pb.CreateTargetRequest(target=wrong))
                assert caught.value.reason == reason
            await stub.DeleteTarget(pb.DeleteTargetRequest(target=made.target_id))
            assert not (await stub.ListTargets(pb.ListTargetsRequest())).targets
