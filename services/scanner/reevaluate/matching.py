"""Matching: from claimed inventories to what newer advisories change about them, in worker processes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import ParamSpec, Protocol, TypeVar

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.reasons import Reason
from services.kernel.workers.pool import WorkerDied, WorkerTimedOut
from services.scanner.matcher import generation_name
from services.scanner.reevaluate.records import (
    ClaimedInventory,
    Comparison,
    Generation,
    Rematch,
    RematchCase,
    Rematched,
    ReportGroup,
    Unmatched,
)
from services.scanner.reevaluate.remote import compare_remotely, rematch_remotely
from services.scanner.reevaluate.store import ReevaluationStore
from services.scanner.reevaluate.write import Answered
from services.scanner.store import ScannerStore

log = structlog.get_logger()


P = ParamSpec("P")
T = TypeVar("T")


class PatientWorkers(Protocol):
    """Does in other processes what can wait."""

    async def run_patiently(
        self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs the function; raises `WorkerDied` or `WorkerTimedOut` where it does not come to its end."""
        ...


class Matcher:
    """Matches inventories with the advisories of a data directory."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ReevaluationStore,
        scans: ScannerStore,
        workers: PatientWorkers,
        data: Path,
        max_age: timedelta,
        seconds: float,
        clock: Clock,
    ) -> None:
        """`seconds` are those that matching may take."""
        self._pool = pool
        self._store = store
        self._scans = scans
        self._workers = workers
        self._data = data
        self._max_age = max_age
        self._seconds = seconds
        self._clock = clock

    async def answers(
        self, claimed: Sequence[ClaimedInventory], generation: Generation
    ) -> Sequence[Answered | tuple[ClaimedInventory, Unmatched]]:
        """Returns what a generation says of inventories; none when its file is not the current one here.

        Raises:
            ServiceError: the advisories cannot be read.
        """
        found = await self._rematched({each.digest: each.content for each in claimed})
        if any(generation_name(rematch.version) != generation.version for rematch in found):
            return []
        by_digest = {each.digest: each for each in claimed}
        matched = [
            (by_digest[answer.inventory], answer)
            for rematch in found
            for answer in rematch.answers
            if isinstance(answer, Rematched)
        ]
        unmatched = [
            (by_digest[answer.inventory], answer)
            for rematch in found
            for answer in rematch.answers
            if isinstance(answer, Unmatched)
        ]
        groups = await self._compared([answer for _, answer in matched], generation)
        answered = [
            Answered(claimed=each, answer=answer, groups=groups.get(each.digest, ())) for each, answer in matched
        ]
        return [*answered, *unmatched]

    async def _rematched(self, inventories: Mapping[str, bytes]) -> Sequence[Rematch]:
        """Matches all at once; if that is too much for a worker, each by itself, so that only one is to blame."""
        case = RematchCase(inventories=inventories, data=self._data, now=self._clock.now(), max_age=self._max_age)
        try:
            return [await self._workers.run_patiently(self._seconds, rematch_remotely, case)]
        except (WorkerDied, WorkerTimedOut) as error:
            if len(inventories) > 1:
                return [
                    each
                    for digest, content in inventories.items()
                    for each in await self._rematched({digest: content})
                ]
            [digest] = inventories
            return [await self._given_up(digest, error)]

    async def _given_up(self, digest: str, error: WorkerDied | WorkerTimedOut) -> Rematch:
        """What nobody can match; the version is that which a worker sees who has nothing to match."""
        log.error("reevaluation.broke", inventory=digest, error=type(error).__name__)
        if isinstance(error, WorkerTimedOut):
            reason, message = Reason.SCAN_TIMED_OUT, f"Matching took longer than {self._seconds:.0f} seconds."
        else:
            reason, message = Reason.WORKER_DIED, "The worker that matched it died."
        case = RematchCase(inventories={}, data=self._data, now=self._clock.now(), max_age=self._max_age)
        empty = await self._workers.run_patiently(self._seconds, rematch_remotely, case)
        failure = Unmatched(inventory=digest, reason=reason.code, message=message)
        return Rematch(version=empty.version, answers=(failure,))

    async def _compared(
        self, answers: Sequence[Rematched], generation: Generation
    ) -> Mapping[str, Sequence[tuple[ReportGroup, Comparison | None]]]:
        """Returns the groups of reports on each inventory, and what changes for each; None for nothing."""
        by_digest = {answer.inventory: answer for answer in answers}
        async with self._pool.acquire() as db:
            groups = await self._store.groups(db, list(by_digest), generation.number)
            other = [each for each in groups if each.stale or each.verdict != by_digest[each.inventory].verdict]
            reports = await self._scans.reports(db, [each.scan_id for each in other])
        readable = [each for each in other if each.scan_id in reports]
        pairs = tuple((reports[each.scan_id], by_digest[each.inventory].content) for each in readable)
        compared = await self._workers.run_patiently(self._seconds, compare_remotely, pairs) if pairs else ()
        changes = dict(zip(readable, compared, strict=True))
        found: dict[str, list[tuple[ReportGroup, Comparison | None]]] = defaultdict(list)
        for group in groups:
            if group not in other:
                found[group.inventory].append((group, None))
            elif group in changes:
                found[group.inventory].append((group, changes[group]))
        return found
