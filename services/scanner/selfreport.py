"""What a scanner tells rules of itself, again and again: which engines it has, and how they are."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from services.kernel.clock import Clock
from services.kernel.db import is_outage
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.wakeup import wait, wait_any
from services.rules.api import RulesApi
from services.rules.engines.api import Part, PartHealth, ScannerReport
from services.scanner.advisories.watch import AdvisoryWatch
from services.scanner.engines import EngineHealth, Engines
from services.scanner.pipeline.reservations import SAMPLE_ADVISORIES, STALE_ADVISORIES
from services.scanner.rulepacks import RulePacks

log = structlog.get_logger()

_MISSED: Final = 4
"""Reports that may get lost before rules takes the scanner for silent."""


class SelfReport:
    """Reports to rules until the scanner stops; one that gets lost is followed by another."""

    def __init__(
        self,
        *,
        node_id: str,
        rules: RulesApi,
        watch: AdvisoryWatch,
        packs: RulePacks,
        clock: Clock,
        max_age: timedelta,
        every_seconds: float,
        engines: Engines | None = None,
    ) -> None:
        """Takes what it tells of; `engines` knows those beside our own, where there are any."""
        self._node_id = node_id
        self._rules = rules
        self._watch = watch
        self._packs = packs
        self._clock = clock
        self._max_age = max_age
        self._every = every_seconds
        self._engines = engines
        self._compiled: PartHealth | None = None

    async def run(self, stopping: asyncio.Event) -> None:
        """Reports at once, at every interval, and when rules are seen otherwise than before, until `stopping`.

        Rules take a moment to compile, and may lie on a slow disk: no report waits for them.
        """
        async with asyncio.TaskGroup() as tasks:
            news = asyncio.Event()
            looks = tasks.create_task(self._look(news, stopping), name="scanner rules")
            while not stopping.is_set():
                news.clear()
                await self._report()
                await wait_any((news, stopping), self._every)
            looks.cancel()

    async def _look(self, news: asyncio.Event, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            seen = await self._packs.look()
            if seen != self._compiled:
                self._compiled = seen
                news.set()
            await wait(stopping, self._every)

    async def _report(self) -> None:
        try:
            async with asyncio.timeout(self._every):
                await self._rules.report_scanner(self._made())
        except ServiceError as error:
            log.warning("scanner.unreported", reason=error.reason)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("scanner.unreported", error=type(error).__name__)

    def _made(self) -> ScannerReport:
        others = self._engines.health() if self._engines is not None else ()
        parts = [self._advisories(), *(_trivy(each) for each in others if each.engine is Engine.TRIVY)]
        if self._compiled is not None:
            parts.append(self._compiled)
        return ScannerReport(node_id=self._node_id, valid_seconds=self._every * (1 + _MISSED), parts=tuple(parts))

    def _advisories(self) -> PartHealth:
        meta, trouble = self._watch.meta, self._watch.trouble
        if trouble is not None:
            return PartHealth(part=Part.ADVISORIES, ready=False, reason=trouble.reason, message=trouble.sentence())
        reason, message = "", ""
        if meta.sample:
            reason = SAMPLE_ADVISORIES
            message = "Only the sample that ships with Drydock is there: run `drydock advisories update`."
        elif meta.is_stale(self._clock.now(), self._max_age):
            reason, message = STALE_ADVISORIES, self._told_of_age()
        return PartHealth(
            part=Part.ADVISORIES,
            ready=True,
            database_version=meta.version,
            database_at=meta.facts_at,
            reason=reason,
            message=message,
        )

    def _told_of_age(self) -> str:
        stale = ", ".join(self._watch.meta.stale_families(self._clock.now(), self._max_age)) or "all"
        return f"Too old for a verdict: {stale}. Run `drydock advisories update`."


def _trivy(health: EngineHealth) -> PartHealth:
    return PartHealth(
        part=Part.TRIVY,
        ready=health.ready,
        version=health.version,
        database_version=health.database_version,
        database_at=health.database_at,
        reason=health.reason,
        message=health.message,
    )
