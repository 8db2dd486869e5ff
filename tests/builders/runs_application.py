"""What rules does with runs when it is asked, without a runner."""

from __future__ import annotations

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.ids import Ids
from services.registry.limits import RetryPolicy, SourceSettings
from services.rules.runs.application import Runs
from services.rules.runs.store import RunStore
from services.rules.settings import RulesSettings

SOURCE = SourceSettings(retry=RetryPolicy(attempts=1))


def a_runs(pool: Pool, clock: Clock, ids: Ids, settings: RulesSettings | None = None) -> Runs:
    settings = settings or RulesSettings()
    return Runs(
        pool=pool,
        store=RunStore(),
        clock=clock,
        ids=ids,
        source=SOURCE,
        preview_seconds=settings.preview_seconds,
        repositories_at_once=settings.run_questions,
    )
