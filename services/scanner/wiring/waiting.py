"""Puts together what waits for scans and gives verdicts."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from prometheus_client import Gauge

from services.kernel.ground import Ground
from services.registry.ask import OpenSource
from services.rules.api import RulesApi
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore
from services.scanner.tags.reads import SharedReads, TagReads
from services.scanner.tasks.gating import Gating
from services.scanner.tasks.lookup import Lookup
from services.scanner.tasks.news import CHANNEL, ImageNews
from services.scanner.tasks.present import PresentDigests
from services.scanner.tasks.waiting import Waiting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WaitingRoom:
    """Who finds tasks, who asks registries, who waits, and who judges."""

    lookup: Lookup
    present: PresentDigests
    waiting: Waiting
    gating: Gating


@asynccontextmanager
async def waiting_room(
    ground: Ground,
    *,
    store: ScannerStore,
    tags: TagReads,
    rules: RulesApi,
    open_source: OpenSource,
    settings: ScannerSettings,
    age_limit: timedelta,
) -> AsyncIterator[WaitingRoom]:
    """Opens it; the process's one LISTEN connection serves all who wait in it."""
    news = ImageNews()
    async with asyncio.TaskGroup() as reading, ground.wakeups.hear(CHANNEL, news.heard):
        lookup = Lookup(ground.pool, store, tags, rules)
        present = PresentDigests(lookup, rules, open_source)
        waiting = Waiting(
            pool=ground.pool,
            store=store,
            reads=SharedReads(ground.pool, store.tasks_of_digests, reading),
            news=news,
            most=settings.most_waiters,
            look_seconds=settings.wait_look_seconds,
            random_source=random.Random(),  # noqa: S311 - jitter, no secret
            stopping=ground.process.stopping,
        )
        Gauge(
            "drydock_scanner_waiters", "Calls that wait for a scan, or watch one.", registry=ground.registry
        ).set_function(lambda: waiting.count)
        gating = Gating(
            pool=ground.pool,
            store=store,
            present=present,
            waiting=waiting,
            clock=ground.clock,
            age_limit=age_limit,
        )
        yield WaitingRoom(lookup=lookup, present=present, waiting=waiting, gating=gating)
