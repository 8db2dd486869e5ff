"""Writing: what matching says now becomes what readers see, a few images at a time, each change told once.

Transactions are short: an open one holds back every reader of the PostgreSQL bus. Whoever dies between two of them
leaves the inventory to somebody else, who finds what is moved already and goes on with the rest.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.model.engine import Engine
from services.kernel.model.report import Coverage, Report
from services.kernel.model.severity import Severity
from services.scanner.marks import mark_rejudged
from services.scanner.records import Difference, Outcome, PartRecord, StoredReport, TaskRecord
from services.scanner.reevaluate.compare import difference_of, differs
from services.scanner.reevaluate.records import (
    ClaimedInventory,
    Comparison,
    Generation,
    RejudgedTask,
    Rematched,
    ReportGroup,
    Tally,
    Unmatched,
    moved,
)
from services.scanner.reevaluate.store import NO_SCAN, ReevaluationStore
from services.scanner.reports import NOT_REEVALUATED, read_report
from services.scanner.state import State
from services.scanner.store import ScannerStore
from services.scanner.tasks.platforms import merge_findings, merge_parts, platform_reports
from services.scanner.tasks.tell import TaskTeller

_AT_ONCE: Final = 100
"""Images in one transaction; those of several platforms are written one by one."""

_Beside = Mapping[str, Mapping[Severity, int]]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An inventory that was matched, and what that changes for the reports that rest on it."""

    claimed: ClaimedInventory
    answer: Rematched
    groups: Sequence[tuple[ReportGroup, Comparison | None]]
    """None: nothing; the reports say the same."""


class VerdictWriter:
    """Writes answers about inventories, and what follows for scans, tasks and whoever is told."""

    def __init__(
        self, *, pool: Pool, store: ReevaluationStore, scans: ScannerStore, teller: TaskTeller, clock: Clock
    ) -> None:
        self._pool = pool
        self._store = store
        self._scans = scans
        self._teller = teller
        self._clock = clock

    async def write(self, answered: Answered, generation: Generation) -> Tally:
        """Writes one answer; what others have written meanwhile is not written again. `finish` it after."""
        tally = Tally(inventories=1)
        for group, comparison in answered.groups:
            step = _Step(answered=answered, group=group, number=generation.number)
            after, more = NO_SCAN, True
            while more:
                batch = await self._batch(step, after)
                for part in await self._apart(batch) if batch else ():
                    async with self._pool.acquire() as db, db.transaction():
                        if not await self._store.lock(db, [group.inventory], step.number):
                            return tally
                        if comparison is None:
                            await self._confirm(db, step, list(part))
                        else:
                            tally.add(await self._move(db, step, comparison, part))
                more = len(batch) == _AT_ONCE
                after = max(batch, default=after)
            tally.changed = tally.changed or int(comparison is not None)
        return tally

    async def write_failure(self, claimed: ClaimedInventory, failure: Unmatched, generation: Generation) -> Tally:
        """Marks reports on an inventory that could not be matched: they stand, and say why. `finish` it after."""
        why = (
            f"Newer advisories ({generation.advisories}) are there, by which the image could not be judged "
            f"({failure.reason}): {failure.message} Scan it again."
        )
        after = NO_SCAN
        while True:
            async with self._pool.acquire() as db, db.transaction():
                if not await self._store.lock(db, [claimed.digest], generation.number):
                    return Tally()
                batch = await self._store.reports_of_inventory(
                    db, claimed.digest, generation.number, after=after, limit=_AT_ONCE
                )
                if not batch:
                    return Tally(inventories=1, failed=1)
                await self._store.mark(db, batch, NOT_REEVALUATED, why)
            after = batch[-1]

    async def finish(self, inventories: Sequence[ClaimedInventory], generation: Generation) -> None:
        """Notes that everything was written that a generation says of inventories."""
        async with self._pool.acquire() as db, db.transaction():
            locked = await self._store.lock(db, [each.digest for each in inventories], generation.number)
            left = [each for each in inventories if each.digest in locked]
            await self._store.finish(db, left, generation.number)

    async def mark_unmatchable(
        self, engine: Engine, generation: Generation, why: str, *, older_than: datetime | None = None
    ) -> int:
        """Marks reports of an engine that cannot be matched again; returns how many.

        With `older_than`, those that were judged by advisories of before that moment.
        """
        after, count = NO_SCAN, 0
        while True:
            async with self._pool.acquire() as db, db.transaction():
                batch = await self._store.reports_without_inventory(
                    db, engine, generation.advisories, older_than=older_than, after=after, limit=_AT_ONCE
                )
                if not batch:
                    await self._store.marked(db, generation.number)
                    return count
                await self._store.mark(db, batch, NOT_REEVALUATED, why)
            after, count = batch[-1], count + len(batch)

    async def _batch(self, step: _Step, after: str) -> _Beside:
        async with self._pool.acquire() as db:
            return await self._store.reports_of_group(db, step.group, step.number, after=after, limit=_AT_ONCE)

    async def _apart(self, batch: _Beside) -> Sequence[_Beside]:
        """Takes platforms of indexes apart: each costs reading the reports of all of them."""
        async with self._pool.acquire() as db:
            parts = {each.scan_id for each in await self._store.indexes_of(db, list(batch))}
        alone = {scan_id: beside for scan_id, beside in batch.items() if scan_id not in parts}
        return [*([alone] if alone else []), *({scan_id: batch[scan_id]} for scan_id in sorted(parts))]

    async def _confirm(self, db: Connection, step: _Step, scan_ids: Sequence[str]) -> None:
        await self._put_verdict(db, step, with_content=False)
        version = step.answered.answer.advisories.version
        await self._store.date_tasks(db, scan_ids, version, Engine.SECURITY_CENTER)

    async def _move(self, db: Connection, step: _Step, comparison: Comparison, batch: _Beside) -> Tally:
        """Makes reports rest on the new answer, and writes and tells what follows."""
        pairs = await self._store.indexes_of(db, list(batch))
        shown = await self._store.shown(db, [*batch, *(each.index_id for each in pairs)])
        indexes = sorted({each.index_id for each in pairs if each.index_id in shown})
        needed = {each.scan_id for each in pairs if each.is_open or each.index_id in shown}
        scan_ids = [scan_id for scan_id in batch if scan_id in shown or scan_id in needed]
        for ids in filter(None, (scan_ids, indexes)):
            await self._store.lock_scans(db, ids)
        wholes = [await self._whole(db, index_id) for index_id in indexes]
        await self._put_verdict(db, step, with_content=True)
        answer = step.answered.answer
        found = await self._store.move_reports(db, scan_ids, step.group, answer.verdict)
        if not found:
            return Tally()
        outcomes = {scan_id: moved(answer.outcome, batch[scan_id]) for scan_id in found}
        comparisons = dict.fromkeys(found, comparison)
        for whole in (each for each in wholes if each.is_readable):
            later = await self._whole(db, whole.index_id)
            outcome, compared = await asyncio.to_thread(_compare, whole, later)
            outcomes[whole.index_id], comparisons[whole.index_id] = outcome, compared
        tasks = await self._store.rejudge(db, outcomes)
        await mark_rejudged(db, [each.task.image for each in tasks])
        news = [
            _difference(each, comparisons[each.task.scan_id])
            for each in tasks
            if each.newest and comparisons[each.task.scan_id].matters
        ]
        await self._teller.tell_differences(db, news)
        return Tally(images=len(found), events=len(news))

    async def _whole(self, db: Connection, index_id: str) -> _Whole:
        parts = await self._scans.parts_of(db, index_id)
        return _Whole(
            index_id=index_id,
            parts=parts,
            reports=await self._scans.reports(db, [part.scan_id for part in parts]),
        )

    async def _put_verdict(self, db: Connection, step: _Step, *, with_content: bool) -> None:
        await self._store.put_verdict(
            db,
            step.answered.answer,
            generation=step.number,
            judged_at=self._clock.now(),
            with_content=with_content,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What reports of one group are moved to, and for which generation."""

    answered: Answered
    group: ReportGroup
    number: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Whole:
    """All platforms of an index, as they are at one moment."""

    index_id: str
    parts: Sequence[PartRecord]
    reports: Mapping[str, StoredReport]

    @property
    def is_readable(self) -> bool:
        """Whether every report is kept that it follows from."""
        complete = (part for part in self.parts if part.outcome.state is State.COMPLETE)
        return all(part.scan_id in self.reports for part in complete)


def _difference(rejudged: RejudgedTask, comparison: Comparison) -> tuple[TaskRecord, Difference]:
    return rejudged.task, dataclasses.replace(comparison.difference, superseded=rejudged.superseded)


def _compare(before: _Whole, after: _Whole) -> tuple[Outcome, Comparison]:
    old_reports, new_reports = _reports(before), _reports(after)
    old, new = merge_parts(before.parts, old_reports), merge_parts(after.parts, new_reports)
    difference = difference_of(
        (placed.finding for placed in merge_findings(platform_reports(before.parts, old_reports))),
        (placed.finding for placed in merge_findings(platform_reports(after.parts, new_reports))),
        previous_version=old.advisories_version,
        first=old.coverage is Coverage.NONE or any(report.advisories.sample for report in old_reports.values()),
    )
    trusted = (old.coverage, old.reason) != (new.coverage, new.reason)
    return new, Comparison(difference=difference, matters=differs(difference) or trusted)


def _reports(whole: _Whole) -> dict[str, Report]:
    return {scan_id: read_report(stored) for scan_id, stored in whole.reports.items()}
