"""The fixer on a real database, with real rules, and a scanner and a way of fixing that a test steers."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from drydock.events.v1 import fix_event_pb2
from services.fixer.api import FixRequest, FixTask
from services.fixer.application import Fixer
from services.fixer.ends import Ends
from services.fixer.intake import Intake
from services.fixer.metrics import FixerMetrics
from services.fixer.settings import FixerSettings
from services.fixer.store import FixerStore
from services.fixer.work.recorder import Recorder
from services.fixer.work.worker import Worker
from services.kernel.clock import SystemClock
from services.kernel.db import Pool
from services.kernel.ids import RandomIds
from services.kernel.outbox import Outbox
from services.kernel.wakeup import Wakeups
from services.rules.api import NewInstance
from services.rules.application import Rules
from tests.builders.edge import real_rules
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock
from tests.fakes.fixer import FakeWork
from tests.fakes.scanner import FakeScanner, a_finding, a_task

WANTED = FixRequest(instance="lab", namespace="team", repository="app", tag="1.0")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FixerBench:
    api: Fixer
    worker: Worker
    work: FakeWork
    rules: Rules
    scanner: FakeScanner
    store: FixerStore
    pool: Pool
    url: str
    settings: FixerSettings

    def another_worker(self, name: str = "other", work: FakeWork | None = None) -> Worker:
        """Another process's worker on the same database."""
        return _worker(self.pool, self.url, work or self.work, self.settings, name=name)

    async def work_once(self, worker: Worker | None = None) -> bool:
        """Has a worker take what is due and work on it to its end; tells whether there was something."""
        worker = worker or self.worker
        async with asyncio.timeout(20):
            held = await worker.claim(1)
            for each in held:
                await worker.hold(each)
        return bool(held)

    async def task(self, task_id: str) -> FixTask:
        return await self.api.get_fix(task_id)

    async def later(self, seconds: float) -> None:
        """Lets time pass for leases and pauses, which go by the database's clock."""
        await self.pool.execute(
            "UPDATE fixer.task SET due_at = due_at - make_interval(secs => $1), "
            "leased_until = leased_until - make_interval(secs => $1)",
            seconds,
        )

    async def events(self) -> Sequence[fix_event_pb2.FixEvent]:
        """What is on its way to the bus."""
        rows = await self.pool.fetch("SELECT value FROM fixer.outbox ORDER BY id")
        return [fix_event_pb2.FixEvent.FromString(row["value"]) for row in rows]


@asynccontextmanager
async def fixer_bench(
    url: str, *, scanner: FakeScanner | None = None, **settings: float
) -> AsyncIterator[FixerBench]:
    """Builds the fixer on a fresh database, with an instance `lab` whose image team/app:1.0 was scanned."""
    chosen = FixerSettings.model_validate({"lease_seconds": 3.0, **settings})
    schemas = (("rules", "services.rules"), ("fixer", "services.fixer"))
    async with migrated_pool(url, *schemas) as pool:
        clock, ids, store, work = SystemClock(), RandomIds(), FixerStore(), FakeWork()
        rules = real_rules(pool, ManualClock())
        await rules.create_instance(NewInstance(name="lab", address="127.0.0.1:5000", default_rule=False))
        if scanner is None:
            scanner = FakeScanner()
            scanner.task, scanner.result = a_task(), (a_finding(), a_finding("CVE-2024-0002", name="zlib1g"))
        yield FixerBench(
            api=Fixer(
                pool=pool,
                store=store,
                ends=Ends(store, Outbox("fixer"), clock, ids),
                intake=Intake(rules, scanner),
                rules=rules,
                work=work,
                settings=chosen,
                clock=clock,
                ids=ids,
            ),
            worker=_worker(pool, url, work, chosen, name="worker"),
            work=work,
            rules=rules,
            scanner=scanner,
            store=store,
            pool=pool,
            url=url,
            settings=chosen,
        )


def _worker(pool: Pool, url: str, work: FakeWork, settings: FixerSettings, *, name: str) -> Worker:
    clock, store = SystemClock(), FixerStore()
    ends = Ends(store, Outbox("fixer"), clock, RandomIds())
    return Worker(
        owner=name,
        pool=pool,
        store=store,
        recorder=Recorder(pool, store, ends, clock),
        work=work,
        wakeups=Wakeups(url),
        settings=settings,
        metrics=FixerMetrics(CollectorRegistry()),
        clock=clock,
        random_source=random.Random(1),
    )
