"""What asks registries about tags, and acts on their answers, on one process."""

from __future__ import annotations

from services.kernel.ground import Ground
from services.kernel.outbox import Outbox
from services.registry.ask import OpenSource
from services.rules.api import RulesApi
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore
from services.scanner.tags.inquiry import Inquiry
from services.scanner.tags.metrics import SyncMetrics
from services.scanner.tags.purge import Purge
from services.scanner.tags.settle import Settler
from services.scanner.tags.store import SyncStore


def start_tag_work(
    ground: Ground,
    *,
    store: ScannerStore,
    sync: SyncStore,
    outbox: Outbox,
    rules: RulesApi,
    open_source: OpenSource,
    settings: ScannerSettings,
) -> None:
    """Starts what settles doubts, what asks whether something is gone, and what deletes the results of what is."""
    process, pool, clock = ground.process, ground.pool, ground.clock
    metrics = SyncMetrics(ground.registry)
    settler = Settler(
        pool=pool,
        store=store,
        rules=rules,
        open_source=open_source,
        wakeups=ground.wakeups,
        clock=clock,
        settings=settings,
    )
    process.start("scanner doubts", settler.run(process.stopping))
    inquiry = Inquiry(
        pool=pool,
        store=sync,
        outbox=outbox,
        rules=rules,
        open_source=open_source,
        clock=clock,
        ids=ground.ids,
        metrics=metrics,
        settings=settings,
    )
    process.start("scanner questions", inquiry.run(ground.wakeups, process.stopping))
    purge = Purge(pool=pool, store=sync, rules=rules, clock=clock, metrics=metrics)
    process.start("scanner removals", purge.run(process.stopping))
