"""The gRPC edge with real rules on a real database and a scanner that a test fills."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import grpc
from prometheus_client import CollectorRegistry

from drydock.acr.v20181201 import container_registry_pb2_grpc as acr_rpc
from services.gateway.acr.servicer import ContainerRegistryServicer
from services.gateway.editions import Editions
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import Ids, RandomIds
from services.kernel.outbox import Outbox
from services.kernel.rpc.client import open_channel
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from services.kernel.secrets import SecretBox
from services.notifier.application import Notifier
from services.notifier.channels.open import open_channels
from services.notifier.consumer import ScanEventConsumer
from services.notifier.desk import Desk
from services.notifier.metrics import TellingMetrics
from services.notifier.robot_store import RobotStore
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import SubscriptionStore
from services.notifier.targets import TargetSealer
from services.notifier.trial import Trial
from services.rules.access import Passwords
from services.rules.api import Instance, NewInstance, Repository
from services.rules.application import Rules
from services.rules.store import RulesStore
from services.rules.sync.store import SyncStore
from services.rules.sync.switch import SyncSwitch
from services.rules.targets import TargetCheck
from tests.builders.engines import some_engines
from tests.builders.guards import Anyone
from tests.builders.notifier import SEAL, way_out
from tests.builders.runs_application import a_runs
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock
from tests.fakes.look import FakeLook
from tests.fakes.notifier import FakeNotifier
from tests.fakes.scanner import FakeScanner


def real_rules(pool: Pool, clock: Clock, ids: Ids | None = None) -> Rules:
    box = SecretBox(b"k" * 32)
    return Rules(
        pool=pool,
        store=RulesStore(),
        targets=TargetCheck(FakeNotifier("1"), seconds=1.0),
        passwords=Passwords(box),
        engines=some_engines(pool, clock, box=box, look=FakeLook()),
        runs=a_runs(pool, clock, ids or RandomIds()),
        clock=clock,
        ids=ids or RandomIds(),
        max_rules_per_instance=10_000,
        outbox=Outbox("rules"),
        sync=SyncSwitch(pool, SyncStore()),
    )


@asynccontextmanager
async def serving(name: str, add: Callable[[grpc.aio.Server], None]) -> AsyncIterator[grpc.aio.Channel]:
    """One service behind the real interceptor, without a guard; yields a channel to it."""
    interceptor = CallInterceptor(guard=Anyone(), ids=RandomIds(), metrics=RpcMetrics(CollectorRegistry()))
    async with (
        serve("127.0.0.1:0", [Service(name=name, add=add)], interceptors=[interceptor]) as server,
        open_channel(server.address) as channel,
    ):
        yield channel


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    acr: acr_rpc.ContainerRegistryAsyncStub
    rules: Rules
    scanner: FakeScanner
    notifier: Notifier
    consumer: ScanEventConsumer
    """What the notifier hears of scans by."""
    instance: Instance
    repository: Repository
    clock: ManualClock


@asynccontextmanager
async def acr_edge(database: str) -> AsyncIterator[Edge]:
    clock, scanner = ManualClock(), FakeScanner()
    schemas = (
        ("rules", "services.rules"),
        ("gateway", "services.gateway"),
        ("notifier", "services.notifier"),
    )
    egress = way_out()
    async with (
        migrated_pool(database, *schemas) as pool,
        open_channels(egress, clock, attempt_seconds=5.0) as channels,
    ):
        rules = real_rules(pool, clock)
        instance = await rules.create_instance(
            NewInstance(name="lab", address="127.0.0.1:5000", default_rule=False)
        )
        repository = await rules.see_repository(instance.instance_id, "team", "app")
        notifier = Notifier(
            pool=pool,
            store=NotifierStore(),
            sealer=TargetSealer(SEAL, egress, clock),
            trial=Trial(
                pool=pool,
                robots=RobotStore(NotifierStore()),
                seal=SEAL,
                channels=channels,
                clock=clock,
                ids=RandomIds(),
                settings=NotifierSettings(),
            ),
            clock=clock,
            ids=RandomIds(),
        )
        servicer = ContainerRegistryServicer(
            pool=pool,
            rules=rules,
            scanner=scanner,
            notifier=notifier,
            editions=Editions(rules, clock),
            in_reach=lambda *_: True,
            clock=clock,
            ids=RandomIds(),
        )
        name = "drydock.acr.v20181201.ContainerRegistry"
        async with serving(
            name, lambda server: acr_rpc.add_ContainerRegistryServicer_to_server(servicer, server)
        ) as channel:
            yield Edge(
                acr=acr_rpc.ContainerRegistryStub(channel),
                rules=rules,
                scanner=scanner,
                notifier=notifier,
                consumer=ScanEventConsumer(
                    pool=pool,
                    desk=Desk(NotifierStore(), SubscriptionStore(), clock),
                    clock=clock,
                    metrics=TellingMetrics(CollectorRegistry()),
                ),
                instance=instance,
                repository=repository,
                clock=clock,
            )
