"""The timetable: starts runs of rules whose time has come, each once, whichever process sees it first."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.ids import Ids
from services.kernel.wakeup import wait
from services.rules import refusals
from services.rules.api import Edition, ScanRule
from services.rules.metrics import RulesMetrics, RunFate
from services.rules.runs.application import Runs
from services.rules.runs.schedule import next_run
from services.rules.runs.store import RunStore
from services.rules.store import RulesStore

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_AT_ONCE = 50
_GONE = "The registry has none of its repositories any more: its schedule went with them."


class Timetable:
    """Looks every second for rules that are due."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RunStore,
        rules: RulesStore,
        runs: Runs,
        clock: Clock,
        ids: Ids,
        metrics: RulesMetrics,
        grace_seconds: float,
    ) -> None:
        """Takes what it works with; after `grace_seconds` a rule without repositories has no schedule any more."""
        self._pool = pool
        self._store = store
        self._rules = rules
        self._runs = runs
        self._clock = clock
        self._ids = ids
        self._metrics = metrics
        self._grace = timedelta(seconds=grace_seconds)

    async def run(self, stopping: asyncio.Event) -> None:
        """Starts what is due, until `stopping`. Times that passed while nobody looked count as one."""
        while not await wait(stopping, _LOOK_SECONDS):
            try:
                while await self.look() == _AT_ONCE:
                    pass
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("timetable.delayed", error=type(error).__name__)

    async def look(self) -> int:
        """Starts runs of rules that are due, at most so many; returns of how many the time had come."""
        async with self._pool.acquire() as conn, conn.transaction():
            now = self._clock.now()
            for rule_id, instance_id in await self._store.end_orphaned(conn, now - self._grace, _AT_ONCE, _GONE):
                log.info("rule.schedule_ended", rule_id=rule_id, instance_id=instance_id, why=_GONE)
            due = await self._store.due_rules(conn, now, _AT_ONCE)
            for rule in due:
                why = await self._start(conn, rule)
                if why:
                    self._metrics.run(RunFate.SKIPPED)
                    log.info("run.skipped", rule_id=rule.rule_id, why=why)
                await self._store.set_next_run(conn, rule.rule_id, _following(rule, now), why)
        return len(due)

    async def _start(self, conn: Connection, rule: ScanRule) -> str:
        """Starts a run; returns why not, or nothing."""
        instance = (await self._rules.scan_settings(conn, {rule.instance_id}))[rule.instance_id]
        if instance.edition is Edition.PERSONAL:
            return "The instance is a personal one: it is not scanned."
        if await self._runs.begin(conn, rule, run_id=self._ids.uuid(), scheduled=True):
            return ""
        return refusals.run_under_way(rule, await self._store.open_run(conn, rule.rule_id)).message


def _following(rule: ScanRule, now: datetime) -> datetime | None:
    try:
        return next_run(rule.schedule, now)
    except ServiceError as error:
        # It named a moment when it was saved; one in the past was its last.
        log.info("timetable.ended", rule_id=rule.rule_id, reason=error.reason)
        return None
