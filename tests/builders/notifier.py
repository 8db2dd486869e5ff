"""Targets, scan events and deliveries for tests."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import random
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import UTC, datetime

import asyncpg
from aiohttp import web
from aiohttp.abc import AbstractResolver
from google.protobuf.timestamp_pb2 import Timestamp
from prometheus_client import CollectorRegistry

from drydock.events.v1 import fix_event_pb2, scan_event_pb2
from services.kernel.bus.interface import SCAN_EVENTS, Message, Record
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.egress import Egress, parse_networks
from services.kernel.ids import RandomIds
from services.kernel.model.digest import digest_of
from services.kernel.secrets import SecretBox
from services.kernel.wakeup import Wakeups
from services.notifier.api import Format, NewTarget, Target, TargetKind
from services.notifier.application import Notifier
from services.notifier.backoff import Backoff
from services.notifier.channels.chat import ChatChannel
from services.notifier.channels.interface import Channel, Parcel
from services.notifier.channels.open import Channels, open_channels
from services.notifier.consumer import ScanEventConsumer
from services.notifier.delivery import DeliveryWorker
from services.notifier.desk import Desk
from services.notifier.fix_consumer import FixEventConsumer
from services.notifier.ledger import Ledger
from services.notifier.metrics import NotifierMetrics, TellingMetrics
from services.notifier.records import Claim
from services.notifier.robot_store import RobotStore
from services.notifier.robots import RobotWorker
from services.notifier.sealing import TargetSeal
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import SubscriptionStore
from services.notifier.targets import TargetSealer
from services.notifier.trial import Trial
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock

MOMENT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SEAL = TargetSeal(SecretBox(b"k" * 32))
_numbers = itertools.count(1)


def way_out(names: AbstractResolver | None = None) -> Egress:
    """The way out of a notifier whose operator allows this machine."""
    return Egress(networks=parse_networks("127.0.0.0/8"), names=names)


Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def scan_event(
    *targets: str,
    event_id: str = "",
    state: str = "COMPLETE",
    findings: Mapping[str, int] | None = None,
    coverage: str = "FULL",
    reevaluation: scan_event_pb2.Reevaluation | None = None,
    **fields: str,
) -> Record:
    occurred_at = Timestamp()
    occurred_at.FromDatetime(MOMENT)
    event = scan_event_pb2.ScanEvent(
        event_id=event_id or str(uuid.uuid4()),
        task_id=str(uuid.uuid4()),
        state=scan_event_pb2.ScanEvent.State.Value(f"STATE_{state}"),
        instance_id="cri-1",
        repo_id="crr-1",
        namespace="team",
        repository="app",
        tag=fields.get("tag", "1.0"),
        digest=digest_of(b"image"),
        engine="SECURITY_CENTER",
        reason=fields.get("reason", ""),
        message=fields.get("message", ""),
        findings={"HIGH": 2, "LOW": 1} if findings is None else findings,
        coverage=coverage,
        advisories_version="a1",
        rule_ids=["crscnr-1"],
        target_ids=targets,
        occurred_at=occurred_at,
        reevaluation=reevaluation,
    )
    return record(event.SerializeToString())


def fix_event(
    *targets: str,
    by_rule: tuple[str, ...] = (),
    event_id: str = "",
    state: str = "SUCCEEDED",
    left: int = 0,
    **fields: str,
) -> Record:
    """The end of a fix of team/app:1.0; `targets` are named by the order."""
    occurred_at = Timestamp()
    occurred_at.FromDatetime(MOMENT)
    failed = state == "FAILED"
    event = fix_event_pb2.FixEvent(
        event_id=event_id or str(uuid.uuid4()),
        task_id=str(uuid.uuid4()),
        state=fix_event_pb2.FixEvent.State.Value(f"STATE_{state}"),
        instance_id="cri-1",
        repo_id="crr-1",
        namespace="team",
        repository="app",
        tag="1.0",
        digest=digest_of(b"image"),
        fixed_tag="" if failed else "1.0_fixd",
        fixed_digest="" if failed else digest_of(b"fixed"),
        reason=fields.get("reason", ""),
        message=fields.get("message", ""),
        fixed=0 if failed else 6,
        not_fixable=left,
        scan_task_id="" if failed else str(uuid.uuid4()),
        created_by=fields.get("created_by", "ops"),
        target_ids=targets,
        rule_ids=["crscnr-1"] if by_rule else [],
        rule_target_ids=by_rule,
        occurred_at=occurred_at,
    )
    return record(event.SerializeToString())


def record(value: bytes, headers: Mapping[str, str] | None = None) -> Record:
    message = Message(topic=SCAN_EVENTS, key=b"k", value=value, headers=headers or {})
    return Record(message=message, partition=0, position=str(next(_numbers)))


def parcel_of(claim: Claim) -> Parcel:
    """What a worker hands to its channel."""
    url = SEAL.open(claim.target_id, claim.target.sealed_url)
    return Parcel(delivery_id=claim.delivery_id, event_type=claim.event_type, url=url, body=claim.body)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A request as a receiver saw it."""

    headers: Mapping[str, str]
    body: bytes


@dataclasses.dataclass(slots=True, kw_only=True)
class Site:
    """A real HTTP server on loopback whose answers a test decides."""

    url: str
    answer: Answer
    hits: list[Hit]


async def _no_content(_: web.Request) -> web.StreamResponse:
    return web.Response(status=204)


def answering(status: int, *, text: str = "", headers: Mapping[str, str] | None = None) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=text, headers=headers)

    return answer


@contextlib.asynccontextmanager
async def serve_site(answer: Answer = _no_content, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    """Serves on a free port of 127.0.0.1."""
    site = Site(url="", answer=answer, hits=[])

    async def take(request: web.Request) -> web.StreamResponse:
        site.hits.append(Hit(headers=dict(request.headers), body=await request.read()))
        return await site.answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        tcp = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await tcp.start()
        host, port = runner.addresses[0][:2]
        site.url = f"{'https' if tls else 'http'}://{host}:{port}/hook"
        yield site
    finally:
        await runner.cleanup()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NotifierBench:
    """The notifier on a database, without a bus."""

    api: Notifier
    consumer: ScanEventConsumer
    fixes: FixEventConsumer
    store: NotifierStore
    pool: Pool
    channel: Channel
    channels: Channels
    clock: Clock
    url: str
    settings: NotifierSettings
    worker: DeliveryWorker
    registry: CollectorRegistry
    """What the consumer counts."""

    def another_worker(
        self,
        name: str = "other",
        channel: Channel | None = None,
        seal: TargetSeal | None = None,
        clock: Clock | None = None,
    ) -> DeliveryWorker:
        """Makes a worker on the same database, with random numbers that are the same in every run."""
        return DeliveryWorker(
            pool=self.pool,
            store=self.store,
            seal=seal or SEAL,
            channel=channel or self.channel,
            backoff=Backoff(self.settings, random.Random(1)),
            wakeups=Wakeups(self.url),
            clock=clock or self.clock,
            name=name,
            settings=self.settings,
            metrics=NotifierMetrics(CollectorRegistry()),
        )

    def robot_worker(
        self, name: str = "robots", chats: Mapping[TargetKind, ChatChannel] | None = None
    ) -> RobotWorker:
        """Makes a worker for chat robots on the same database."""
        metrics = NotifierMetrics(CollectorRegistry())
        return RobotWorker(
            pool=self.pool,
            store=RobotStore(self.store),
            ledger=Ledger(self.store, self.clock, metrics),
            seal=SEAL,
            channels=chats or self.channels.chats,
            backoff=Backoff(self.settings, random.Random(1)),
            wakeups=Wakeups(self.url),
            clock=self.clock,
            ids=RandomIds(),
            name=name,
            settings=self.settings,
            metrics=metrics,
        )

    async def target(
        self,
        url: str,
        name: str = "chat",
        *,
        kind: TargetKind = TargetKind.HTTP,
        secret: str = "",
        format: Format = Format.JSON,
        ca_certificates: str = "",
    ) -> Target:
        """Saves a target."""
        return await self.api.create_target(
            NewTarget(name=name, kind=kind, url=url, secret=secret, format=format, ca_certificates=ca_certificates)
        )

    async def tell(self, *records: Record) -> None:
        """Hands one batch to the consumer."""
        async with asyncio.timeout(20):
            await self.consumer.handle(records)

    async def deliver_due(self) -> int:
        """Lets the worker take what is due now and deliver it; returns how many that were."""
        async with asyncio.timeout(20):
            claims = await self.worker.claim(100)
            await asyncio.gather(*(self.worker.deliver(claim) for claim in claims))
        return len(claims)

    async def later(self, seconds: float) -> None:
        """Lets time pass for leases and pauses, which go by the database's clock."""
        await self.pool.execute(
            "UPDATE notifier.delivery SET due_at = due_at - make_interval(secs => $1), "
            "lease_until = lease_until - make_interval(secs => $1)",
            seconds,
        )
        await self.pool.execute(
            "UPDATE notifier.inquiry SET due_at = due_at - make_interval(secs => $1), "
            "created_at = created_at - make_interval(secs => $1), "
            "lease_until = lease_until - make_interval(secs => $1)",
            seconds,
        )
        await self.pool.execute(
            "UPDATE notifier.robot SET resting_until = resting_until - make_interval(secs => $1)", seconds
        )
        await self.pool.execute(
            "UPDATE notifier.robot_call SET taken_at = taken_at - make_interval(secs => $1), "
            "until = until - make_interval(secs => $1)",
            seconds,
        )

    async def deliveries(self) -> list[asyncpg.Record]:
        """Returns all rows of deliveries."""
        return await self.pool.fetch("SELECT * FROM notifier.delivery ORDER BY created_at, target_id, event_id")

    async def receipts(self) -> list[asyncpg.Record]:
        """Returns all rows of receipts, by attempt."""
        return await self.pool.fetch("SELECT * FROM notifier.receipt ORDER BY delivery_id, attempt")


@contextlib.asynccontextmanager
async def notifier_bench(
    url: str, *, clock: Clock | None = None, egress: Egress | None = None, **settings: float
) -> AsyncIterator[NotifierBench]:
    """Builds the notifier on a fresh database, with a real HTTP channel."""
    time = clock or ManualClock()
    chosen = NotifierSettings.model_validate({"attempt_seconds": 5.0, **settings})
    egress = egress or way_out()
    async with (
        migrated_pool(url, ("notifier", "services.notifier")) as pool,
        open_channels(egress, time, attempt_seconds=chosen.attempt_seconds) as channels,
    ):
        store = NotifierStore()
        worker = DeliveryWorker(
            pool=pool,
            store=store,
            seal=SEAL,
            channel=channels.any,
            backoff=Backoff(chosen, random.Random(1)),
            wakeups=Wakeups(url),
            clock=time,
            name="worker",
            settings=chosen,
            metrics=NotifierMetrics(CollectorRegistry()),
        )
        trial = Trial(
            pool=pool,
            robots=RobotStore(store),
            seal=SEAL,
            channels=channels,
            clock=time,
            ids=RandomIds(),
            settings=chosen,
        )
        registry = CollectorRegistry()
        desk, telling = Desk(store, SubscriptionStore(), time), TellingMetrics(registry)
        yield NotifierBench(
            registry=registry,
            api=Notifier(
                pool=pool,
                store=store,
                sealer=TargetSealer(SEAL, egress, time),
                trial=trial,
                ids=RandomIds(),
                clock=time,
            ),
            consumer=ScanEventConsumer(pool=pool, desk=desk, clock=time, metrics=telling),
            fixes=FixEventConsumer(
                pool=pool,
                store=store,
                subscriptions=SubscriptionStore(),
                desk=desk,
                clock=time,
                metrics=telling,
            ),
            store=store,
            pool=pool,
            channel=channels.any,
            channels=channels,
            clock=time,
            url=url,
            settings=chosen,
            worker=worker,
        )
