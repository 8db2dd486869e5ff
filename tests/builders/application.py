"""The scanner's application with rules, on a registry, and without workers: a test works its scans itself."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from services.kernel.ground import Ground
from services.registry.ask import OpenSource
from services.registry.limits import SourceSettings
from services.registry.open import open_repository
from services.rules.api import NewInstance
from services.scanner.application import ScannerApplication
from services.scanner.settings import ScannerSettings
from services.scanner.stream.reads import StreamReads
from services.scanner.stream.store import StreamStore
from services.scanner.tags.account import Account
from services.scanner.tags.reads import open_tag_reads
from services.scanner.tags.store import SyncStore
from services.scanner.tasks.runs import Runs
from services.scanner.tasks.waiting import Waiting
from services.scanner.wiring.waiting import waiting_room
from tests.builders.edge import real_rules
from tests.builders.ground import a_ground, end
from tests.builders.scanner import LOANS, ScannerBench, a_control

SETTINGS = ScannerSettings()
FROM_A_REGISTRY: OpenSource = functools.partial(open_repository, SourceSettings())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """An application, and what it stands on."""

    application: ScannerApplication
    bench: ScannerBench
    ground: Ground
    waiting: Waiting
    instance_id: str
    """Of the instance `lab`."""


@asynccontextmanager
async def scanner_stage(
    database: str,
    address: str,
    *,
    open_source: OpenSource = FROM_A_REGISTRY,
    settings: ScannerSettings = SETTINGS,
    age_limit: timedelta = timedelta(days=7),
) -> AsyncIterator[Stage]:
    """Opens an application whose instance `lab` has its registry at the address."""
    schemas = (("rules", "services.rules"), ("scanner", "services.scanner"))
    async with a_ground(database, *schemas) as ground, AsyncExitStack() as stack:
        pool, bench = ground.pool, ScannerBench(ground.pool, database)
        rules = real_rules(pool, ground.clock)
        tags = await stack.enter_async_context(open_tag_reads(database, bench.store))
        room = await stack.enter_async_context(
            waiting_room(
                ground,
                store=bench.store,
                tags=tags,
                rules=rules,
                open_source=open_source,
                settings=settings,
                age_limit=age_limit,
            )
        )
        new = NewInstance(name="lab", address=address, plain_http=True, default_rule=False)
        instance = await rules.create_instance(new)
        runs = Runs(pool, bench.runs, rules)
        application = ScannerApplication(
            pool=pool,
            store=bench.store,
            lookup=room.lookup,
            intake=bench.intake,
            runs=runs,
            control=a_control(bench, runs, rules),
            rules=rules,
            present=room.present,
            waiting=room.waiting,
            gating=room.gating,
            clock=ground.clock,
            ids=ground.ids,
            account=Account(pool, SyncStore()),
            loans=LOANS,
            stream=StreamReads(pool, StreamStore(), ground.bus),
        )
        yield Stage(
            application=application,
            bench=bench,
            ground=ground,
            waiting=room.waiting,
            instance_id=instance.instance_id,
        )
        await end(ground)
