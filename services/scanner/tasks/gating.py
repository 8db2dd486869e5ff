"""Gating: the newest task on what a tag is at present, held against a policy."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from datetime import timedelta

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import not_found
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.model.report import Report
from services.kernel.reasons import ScanFailure
from services.scanner.api import ImageQuery, State
from services.scanner.gate.api import (
    NOT_SCANNED,
    REGISTRY_SILENT,
    SCAN_FAILED,
    UNDER_WAY,
    GatePolicy,
    GateVerdict,
    undecided,
)
from services.scanner.gate.evaluate import Evidence, evaluate
from services.scanner.gate.vex import read_documents
from services.scanner.records import PartRecord, StoredReport, TaskRecord
from services.scanner.reports import read_report
from services.scanner.store import ScannerStore
from services.scanner.tasks.earlier import with_earlier
from services.scanner.tasks.platforms import merge_findings, platform_reports
from services.scanner.tasks.present import PresentDigests
from services.scanner.tasks.waiting import Subject, Waiting


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """A verdict, and what it is about."""

    verdict: GateVerdict
    digest: Digest | None = None
    """None: the registry does not tell what the tag is."""
    task: TaskRecord | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _Scan:
    """A scan as it is kept."""

    parts: Sequence[PartRecord]
    packed: Mapping[str, StoredReport]

    def reports(self) -> Mapping[str, Report]:
        """Returns one report for each platform; none where one of them is gone."""
        complete = [part.scan_id for part in self.parts if part.outcome.state is State.COMPLETE]
        if not complete or any(scan_id not in self.packed for scan_id in complete):
            return {}
        return platform_reports(self.parts, {scan_id: read_report(self.packed[scan_id]) for scan_id in complete})


class Gating:
    """Gives verdicts; never from another digest than the one that is there now, and no PASS from an older task."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ScannerStore,
        present: PresentDigests,
        waiting: Waiting,
        clock: Clock,
        age_limit: timedelta,
    ) -> None:
        """`age_limit` is that of advisories, where a policy names none."""
        self._pool = pool
        self._store = store
        self._present = present
        self._waiting = waiting
        self._clock = clock
        self._age_limit = age_limit

    async def verdict(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> Gated:
        """Returns the verdict on an image, or on one platform of it.

        Raises:
            ServiceError: the errors of `PresentDigests.pinned`, INVALID_VEX, VEX_TOO_LARGE, PLATFORM_NOT_EXIST.
        """
        if policy.vex:
            await asyncio.to_thread(
                read_documents, policy.vex
            )  # also where there is nothing yet to hold it against
        try:
            image, digest = await self._present.pinned(image)
        except ScanFailure as failure:
            message = f"The registry does not tell what the tag is: {failure.message}"
            return Gated(verdict=undecided(REGISTRY_SILENT, message, detail=failure.reason))
        task = await self._waiting.look(Subject(repo_id=image.repo_id, digest=digest, engine=image.engine))
        if task is None:
            message = f"{_path(image)}@{digest} was never scanned."
            return Gated(verdict=undecided(NOT_SCANNED, message), digest=digest)
        if task.outcome.state is not State.COMPLETE:
            return Gated(verdict=_not_complete(task), digest=digest, task=task)
        others = [each for each in Engine if each is not task.engine] if image.engine is None else []
        async with self._pool.acquire() as db:
            earlier = await self._store.complete_tasks_of_engines(db, image.repo_id, digest, others)
            scans = [await self._scan(db, each) for each in (task, *earlier)]
        verdict = await asyncio.to_thread(self._judge, policy, task, scans, platform)
        return Gated(verdict=verdict, digest=digest, task=task)

    async def _scan(self, db: Connection, task: TaskRecord) -> _Scan:
        parts = await self._store.parts_of(db, task.scan_id)
        return _Scan(parts, await self._store.reports(db, [part.scan_id for part in parts]))

    def _judge(self, policy: GatePolicy, task: TaskRecord, scans: Sequence[_Scan], platform: str) -> GateVerdict:
        """Judges the newest scan; what other engines found before counts, too."""
        reports, *earlier = (scan.reports() for scan in scans)
        if not reports:
            return undecided("REPORT_GONE", "The scan's report is no longer kept, or is being made anew.")
        if platform and platform not in reports:
            raise not_found(
                "PLATFORM_NOT_EXIST",
                f"The image is not there for {platform}.",
                hint=f"It has: {', '.join(reports)}.",
            )
        chosen = _of(platform, reports)
        evidence = Evidence(
            reports=tuple(chosen.values()),
            findings=merge_findings(with_earlier(chosen, [_of(platform, each) for each in earlier])),
            digest=task.image.digest,
            repository=RepositoryName(namespace=task.image.namespace, name=task.image.repository).path,
        )
        return evaluate(policy, evidence, now=self._clock.now(), age_limit=self._age_limit)


def _of(platform: str, reports: Mapping[str, Report]) -> Mapping[str, Report]:
    return {name: report for name, report in reports.items() if platform in ("", name)}


def _not_complete(task: TaskRecord) -> GateVerdict:
    outcome = task.outcome
    if outcome.state is State.FAILED:
        return undecided(SCAN_FAILED, f"The image could not be scanned: {outcome.message}", detail=outcome.reason)
    why = f" ({outcome.reason}: {outcome.message})" if outcome.reason else ""
    return undecided(UNDER_WAY, f"The scan is {outcome.state.value}{why}.", detail=outcome.reason)


def _path(image: ImageQuery) -> str:
    return RepositoryName(namespace=image.namespace, name=image.repository).path
