"""How the notifier is put together."""

from __future__ import annotations

import functools
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kernel.bus.dispatch import consume
from services.kernel.bus.interface import FIX_EVENTS, SCAN_EVENTS
from services.kernel.disk_use import DiskUse
from services.kernel.egress import Egress, parse_networks, parse_ports
from services.kernel.ground import Ground
from services.kernel.retention import Retention, every
from services.kernel.secrets import SecretBox
from services.notifier.api import NotifierApi
from services.notifier.application import Notifier
from services.notifier.backlog import Backlog
from services.notifier.backoff import Backoff
from services.notifier.channels.open import open_channels
from services.notifier.consumer import ScanEventConsumer
from services.notifier.delivery import DeliveryWorker
from services.notifier.desk import Desk
from services.notifier.digest import Windows
from services.notifier.fix_consumer import FixEventConsumer
from services.notifier.inquiry import Inquirer
from services.notifier.ledger import Ledger
from services.notifier.metrics import InquiryMetrics, NotifierMetrics, TellingMetrics
from services.notifier.retention import agings, keep_receipts
from services.notifier.robot_store import RobotStore
from services.notifier.robots import RobotWorker
from services.notifier.sealing import TargetSeal, seal_plain_urls
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore
from services.notifier.subscription_store import SubscriptionStore
from services.notifier.targets import TargetSealer
from services.notifier.trial import Trial
from services.scanner.api import ScannerApi

GROUP = "notifier"


@asynccontextmanager
async def server(ground: Ground, *, box: SecretBox, settings: NotifierSettings) -> AsyncIterator[NotifierApi]:
    """Seals plain URLs, starts the consumer, a delivery worker and the clean-up; yields the interface.

    The schema `notifier` must be up to date.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    ready = process.readiness.add("notifier")
    store, stopping, seal = NotifierStore(), process.stopping, TargetSeal(box)
    await seal_plain_urls(pool, store, seal)
    egress = Egress(networks=parse_networks(settings.allowed_networks), ports=parse_ports(settings.allowed_ports))
    async with open_channels(egress, clock, attempt_seconds=settings.attempt_seconds) as channels:
        metrics = NotifierMetrics(ground.registry)
        backoff, name = Backoff(settings, random.SystemRandom()), ground.ids.uuid()
        worker = DeliveryWorker(
            pool=pool,
            store=store,
            seal=seal,
            channel=channels.any,
            backoff=backoff,
            wakeups=ground.wakeups,
            clock=clock,
            name=name,
            settings=settings,
            metrics=metrics,
        )
        robot_store = RobotStore(store)
        robots = RobotWorker(
            pool=pool,
            store=robot_store,
            ledger=Ledger(store, clock, metrics),
            seal=seal,
            channels=channels.chats,
            backoff=backoff,
            wakeups=ground.wakeups,
            clock=clock,
            ids=ground.ids,
            name=name,
            settings=settings,
            metrics=metrics,
        )
        subscriptions = SubscriptionStore()
        desk, telling = Desk(store, subscriptions, clock), TellingMetrics(ground.registry)
        consumer = ScanEventConsumer(pool=pool, desk=desk, clock=clock, metrics=telling)
        fixes = FixEventConsumer(
            pool=pool, store=store, subscriptions=subscriptions, desk=desk, clock=clock, metrics=telling
        )
        process.start(
            "notifier.consumer",
            consume(ground.bus, group=GROUP, topic=SCAN_EVENTS, handler=consumer.handle, stopping=stopping),
        )
        process.start(
            "notifier.fix_consumer",
            consume(ground.bus, group=GROUP, topic=FIX_EVENTS, handler=fixes.handle, stopping=stopping),
        )
        process.start("notifier.delivery", worker.run(stopping))
        windows = Windows(pool=pool, store=store, clock=clock, ids=ground.ids, settings=settings)
        process.start("notifier.backlog", Backlog(pool, ground.registry).run(stopping))
        process.start("notifier.windows", windows.run(stopping))
        process.start("notifier.robots", robots.run(stopping))
        retention = Retention(
            "notifier",
            agings(settings),
            pool=pool,
            clock=clock,
            batch=settings.cleanup_batch,
            registry=ground.registry,
        )
        receipts = functools.partial(keep_receipts, pool, clock, settings)
        for name, job in (("notifier.receipts", receipts), ("notifier.retention", retention.clean)):
            process.start(name, every(settings.cleanup_interval_seconds, job, stopping, name=name))
        process.start("notifier.disk_use", DiskUse("notifier", pool, ground.registry).run(stopping))
        ready.set(True)
        sealer = TargetSealer(seal, egress, clock)
        trial = Trial(
            pool=pool,
            robots=robot_store,
            seal=seal,
            channels=channels,
            clock=clock,
            ids=ground.ids,
            settings=settings,
        )
        yield Notifier(pool=pool, store=store, sealer=sealer, trial=trial, clock=clock, ids=ground.ids)


def ask_scanner(ground: Ground, *, scanner: ScannerApi, settings: NotifierSettings) -> None:
    """Starts asking the scanner what is new, for the server of this process: who is built before the scanner."""
    store = SubscriptionStore()
    inquirer = Inquirer(
        pool=ground.pool,
        store=store,
        desk=Desk(NotifierStore(), store, ground.clock),
        scanner=scanner,
        wakeups=ground.wakeups,
        clock=ground.clock,
        settings=settings,
        metrics=InquiryMetrics(ground.registry),
    )
    ground.process.start("notifier.inquiries", inquirer.run(ground.process.stopping))
