"""Puts the fixer together as a server, on PostgreSQL and the bus."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.fixer.api import FixerApi
from services.fixer.application import Fixer
from services.fixer.ends import Ends
from services.fixer.failure import FixFailure, FixReason
from services.fixer.intake import Intake
from services.fixer.metrics import FixerMetrics
from services.fixer.order import FixOrder, FixPlan, FixResult, FixWork, Progress
from services.fixer.retention import agings
from services.fixer.settings import FixerSettings
from services.fixer.store import FixerStore
from services.fixer.work.recorder import Recorder
from services.fixer.work.worker import Worker
from services.kernel.disk_use import DiskUse
from services.kernel.ground import Ground
from services.kernel.model.digest import Digest
from services.kernel.outbox import Outbox, OutboxRelay
from services.kernel.retention import Retention, every
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi


@asynccontextmanager
async def open_work(
    ground: Ground, *, rules: RulesApi, scanner: ScannerApi, data: Path, settings: FixerSettings
) -> AsyncIterator[FixWork]:
    """Opens the way of one fix: its repositories, its cache below `data`, its worker processes."""
    del ground, rules, scanner, data, settings
    yield _NoSystem()


class _NoSystem:
    """A build without a package system says so, and does nothing."""

    async def preview(self, order: FixOrder) -> FixPlan:
        raise _no_system(order)

    async def run(self, order: FixOrder, progress: Progress) -> FixResult:
        del progress
        raise _no_system(order)

    async def revert(self, order: FixOrder, result: FixResult) -> Digest:
        del result
        raise _no_system(order)


def _no_system(order: FixOrder) -> FixFailure:
    return FixFailure(
        FixReason.SYSTEM_UNKNOWN,
        f"{order.repository.path}:{order.tag} cannot be fixed: this build knows no package system.",
    )


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, scanner: ScannerApi, work: FixWork, settings: FixerSettings
) -> AsyncIterator[FixerApi]:
    """Starts a worker, the relay and the clean-up on the process, and yields the interface.

    The schema `fixer` must be up to date. `work` is the way of one fix: `open_work`.
    """
    process, pool, clock = ground.process, ground.pool, ground.clock
    ready, stopping = process.readiness.add("fixer"), process.stopping
    store, outbox = FixerStore(), Outbox("fixer")
    ends = Ends(store, outbox, clock, ground.ids)
    worker = Worker(
        owner=ground.ids.uuid(),
        pool=pool,
        store=store,
        recorder=Recorder(pool, store, ends, clock),
        work=work,
        wakeups=ground.wakeups,
        settings=settings,
        metrics=FixerMetrics(ground.registry),
        clock=clock,
        random_source=random.SystemRandom(),
    )
    process.start("fixer.outbox", OutboxRelay(ground.url, ground.bus, outbox, ground.wakeups).run(stopping))
    process.start("fixer.worker", worker.run(stopping))
    retention = Retention(
        "fixer", agings(settings), pool=pool, clock=clock, batch=settings.cleanup_batch, registry=ground.registry
    )
    process.start(
        "fixer.retention",
        every(settings.cleanup_interval_seconds, retention.clean, stopping, name="fixer.retention"),
    )
    process.start("fixer.disk_use", DiskUse("fixer", pool, ground.registry).run(stopping))
    ready.set(True)
    yield Fixer(
        pool=pool,
        store=store,
        ends=ends,
        intake=Intake(rules, scanner),
        rules=rules,
        work=work,
        settings=settings,
        clock=clock,
        ids=ground.ids,
    )
