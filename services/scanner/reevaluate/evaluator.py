"""Re-evaluating: when the advisories change, all that lags behind is matched, in the time that scans leave."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final, Protocol

import structlog

from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.wakeup import wait
from services.kernel.workers.pool import WorkerDied, WorkerTimedOut
from services.scanner.advisories.database import Meta
from services.scanner.lanes import LANE_REEVALUATION
from services.scanner.matcher import generation_name
from services.scanner.reevaluate.matching import Matcher
from services.scanner.reevaluate.metrics import ReevaluationMetrics
from services.scanner.reevaluate.records import ClaimedInventory, Generation, Tally
from services.scanner.reevaluate.store import ReevaluationStore
from services.scanner.reevaluate.write import Answered, VerdictWriter
from services.scanner.work.lanes import Slots

log = structlog.get_logger()

_LOOK_SECONDS: Final = 2.0
_SLOT_SECONDS: Final = 0.02
"""Between two looks whether the lane is open."""
_LEASE_SECONDS: Final = 300.0
"""Nothing is lost when it runs out: whoever comes second finds what the first has written."""
_AT_ONCE: Final = 8
"""Inventories that one start matches: a tenth of a second's work, so that nobody urgent is held up by it."""
_TOLD_SECONDS: Final = 10.0
_NOT_KEPT: Final = (
    "Newer advisories are there, by which the image was not judged: the release of Drydock that scanned it did "
    "not keep what they are held against. Scan it again."
)
_TRIVY_OLD: Final = (
    "Trivy has a younger database ({version}), and the one that judged the image was more than {days} days older: "
    "what became known since then is missing. Scan it again."
)


class Advisories(Protocol):
    """Knows which advisories this process has open."""

    @property
    def meta(self) -> Meta:
        """What the current file is."""
        ...


class TrivyAdvisories(Protocol):
    """Knows which database Trivy judges by: reports by an older one say so."""

    @property
    def advisories_version(self) -> str:
        """Its version."""
        ...

    @property
    def advisories_at(self) -> datetime | None:
        """When it was made; None while there is none, or where nobody says."""
        ...


class Reevaluator:
    """Matches what lags behind; any number of processes share the work by the rows that they claim."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ReevaluationStore,
        advisories: Advisories,
        trivy: TrivyAdvisories,
        matcher: Matcher,
        writer: VerdictWriter,
        slots: Slots,
        metrics: ReevaluationMetrics,
        at_once: int,
        max_age: timedelta,
    ) -> None:
        """Prepares; nothing is matched yet.

        Args:
            pool: connections.
            store: the SQL.
            advisories: what this process matches with.
            trivy: what Trivy judges by.
            matcher: finds answers.
            writer: writes them.
            slots: places for work, of which this takes those that its lane has.
            metrics: what is counted.
            at_once: starts that are under way at the same time, if the lane is that open.
            max_age: by which a database that judged an image may be older than Trivy's youngest.
        """
        self._pool = pool
        self._store = store
        self._advisories = advisories
        self._trivy = trivy
        self._matcher = matcher
        self._writer = writer
        self._slots = slots
        self._metrics = metrics
        self._at_once = at_once
        self._max_age = max_age
        self._entered: dict[Engine, str] = {}
        self._begun = 0
        self._told_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Looks every two seconds until `stopping` whether anything lags behind, and matches all that does."""
        while not stopping.is_set():
            try:
                await self.catch_up(stopping)
            except ServiceError as error:
                log.warning("reevaluation.delayed", reason=error.reason, message=error.message)
            except (WorkerDied, WorkerTimedOut) as error:
                log.error("reevaluation.broke", error=type(error).__name__)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("reevaluation.delayed", error=type(error).__name__)
            await wait(stopping, _LOOK_SECONDS)

    async def enter(self) -> None:
        """Notes which advisories this process has; scans that are recorded from now on are held against that."""
        meta, trivy_at = self._advisories.meta, self._trivy.advisories_at
        await self._enter(Engine.SECURITY_CENTER, generation_name(meta.version), meta.built_at)
        if trivy_at is not None:
            await self._enter(Engine.TRIVY, self._trivy.advisories_version, trivy_at)

    async def _enter(self, engine: Engine, version: str, built_at: datetime) -> None:
        if self._entered.get(engine) != version:
            async with self._pool.acquire() as db:
                await self._store.enter(db, engine, version, built_at)
            self._entered[engine] = version

    async def catch_up(self, stopping: asyncio.Event) -> None:
        """Matches all that lags behind now, unless others do."""
        await self.enter()
        await self._mark_trivy()
        async with self._pool.acquire() as db:
            generation = await self._store.newest(db)
        if generation is None or generation.version != self._ours():
            return  # another node has younger ones, which are on their way here, or a later matcher
        if generation.unmarked:
            count = await self._writer.mark_unmatchable(Engine.SECURITY_CENTER, generation, _NOT_KEPT)
            if count:
                log.warning("reevaluation.not_kept", version=generation.version, reports=count)
        lagging = await self._lagging(generation)
        if lagging:
            if self._begun != generation.number:
                self._begun = generation.number
                log.info("reevaluation.started", version=generation.version, inventories=lagging)
            try:
                async with asyncio.TaskGroup() as tasks:
                    for number in range(self._at_once):
                        tasks.create_task(self._work(generation, stopping), name=f"reevaluation-{number}")
            except ExceptionGroup as group:
                raise group.exceptions[0] from group
            await self._lagging(generation)
        if lagging or not generation.ended:
            await self._end(generation)

    def _ours(self) -> str:
        return generation_name(self._advisories.meta.version)

    async def _mark_trivy(self) -> None:
        """Marks what Trivy judged by a database that is too old beside its youngest: nobody matches that again."""
        async with self._pool.acquire() as db:
            youngest = await self._store.newest(db, Engine.TRIVY)
        if youngest is None or not youngest.unmarked:
            return
        why = _TRIVY_OLD.format(version=youngest.version, days=self._max_age.days)
        older_than = youngest.built_at - self._max_age
        count = await self._writer.mark_unmatchable(Engine.TRIVY, youngest, why, older_than=older_than)
        if count:
            log.warning("reevaluation.trivy_outdated", version=youngest.version, reports=count)

    async def _lagging(self, generation: Generation) -> int:
        async with self._pool.acquire() as db:
            lagging = await self._store.lagging(db, generation.number)
        self._metrics.lag(lagging)
        return lagging

    async def _work(self, generation: Generation, stopping: asyncio.Event) -> None:
        """Claims and matches until nothing is left, or newer advisories are there."""
        while not stopping.is_set() and self._ours() == generation.version:
            async with self._turn(stopping) as ours:
                if not ours:
                    return
                async with self._pool.acquire() as db:
                    claimed = await self._store.claim(db, generation.number, _AT_ONCE, _LEASE_SECONDS)
                if not claimed or not await self._match(claimed, generation):
                    return
            await self._tell_progress(generation)

    @asynccontextmanager
    async def _turn(self, stopping: asyncio.Event) -> AsyncIterator[bool]:
        """Waits for the lane to be open, and takes one of the process's slots; False when it stops meanwhile."""
        if not await self._take_slot(stopping):
            yield False
            return
        try:
            yield True
        finally:
            self._slots.give_back(LANE_REEVALUATION, _now())

    async def _take_slot(self, stopping: asyncio.Event) -> bool:
        with self._slots.asking(LANE_REEVALUATION):
            while not stopping.is_set():
                async with self._slots.deciding:
                    if LANE_REEVALUATION in self._slots.open_lanes(_now()):
                        self._slots.take(LANE_REEVALUATION, _now())
                        return True
                await wait(stopping, _SLOT_SECONDS)
        return False

    async def _match(self, claimed: Sequence[ClaimedInventory], generation: Generation) -> bool:
        """Matches inventories and writes what comes of it; False when it was for nothing."""
        tally, done = Tally(), list[ClaimedInventory]()
        try:
            for found in await self._matcher.answers(claimed, generation):
                if isinstance(found, Answered):
                    tally.add(await self._writer.write(found, generation))
                    done.append(found.claimed)
                else:
                    inventory, failure = found
                    log.error("reevaluation.failed", inventory=inventory.digest, reason=failure.reason)
                    tally.add(await self._writer.write_failure(inventory, failure, generation))
                    done.append(inventory)
            await self._writer.finish(done, generation)
        except BaseException:
            await self._give_back(claimed)
            raise
        if not done:
            await self._give_back(claimed)
            return False
        async with self._pool.acquire() as db:
            await self._store.count(db, generation.number, tally)
        self._metrics.done(tally)
        return True

    async def _give_back(self, claimed: Sequence[ClaimedInventory]) -> None:
        try:
            async with asyncio.timeout(2), self._pool.acquire() as db:
                await self._store.give_back(db, [each.digest for each in claimed])
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("lease.left", error=type(error).__name__)  # it runs out by itself

    async def _tell_progress(self, generation: Generation) -> None:
        if _now() >= self._told_at:
            self._told_at = _now() + _TOLD_SECONDS
            left = await self._lagging(generation)
            log.info("reevaluation.progress", version=generation.version, left=left)

    async def _end(self, generation: Generation) -> None:
        async with self._pool.acquire() as db:
            done = await self._store.end(db, generation.number)
        if done is not None and done["inventories"]:
            log.info("reevaluation.finished", version=generation.version, **done)


def _now() -> float:
    return asyncio.get_running_loop().time()
