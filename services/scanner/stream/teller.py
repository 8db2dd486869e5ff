"""Telling findings: the last reports of an image are held against what is open, and differences told.

An image is looked at as it stands, not change by change: whatever was missed, repeated or told out of order, the
next look puts it right. What is told goes to the outbox in the transaction that remembers it (decision 0043).
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog

from services.kernel.bus.interface import Message
from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.outbox import Outbox
from services.kernel.wakeup import Wakeups
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.stream.consulting import consulted
from services.scanner.stream.events import messages_of
from services.scanner.stream.grouping import bounded, read_report
from services.scanner.stream.happenings import Happening, deleted, found, not_found
from services.scanner.stream.metrics import StreamMetrics
from services.scanner.stream.records import (
    Activity,
    OpenFinding,
    Result,
    StreamClaim,
    Told,
)
from services.scanner.stream.store import StreamStore
from services.scanner.stream.vouching import Vouching, is_of_advisories, moment_of_writing

log = structlog.get_logger()

T = TypeVar("T")
CHANNEL: Final = "drydock_scanner_stream"
_LEASE_SECONDS: Final = 60.0
_MARKS: Final = 1000
_CHUNK: Final = 200
"""Findings of one transaction: none is open for long, because the readers of PostgreSQL's bus wait for it."""
_AT_ONCE: Final = 2
"""Images: a large report is held in memory meanwhile."""


class ClaimLost(Exception):
    """Somebody else tells of the image now."""


class FindingTeller:
    """Tells findings. Any number of processes share the work, an image each."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: StreamStore,
        outbox: Outbox,
        files: AdvisoryFiles,
        clock: Clock,
        metrics: StreamMetrics,
        state: bool,
    ) -> None:
        """Prepares; with `state` the compacted topic is written, too."""
        self._pool = pool
        self._store = store
        self._outbox = outbox
        self._files = files
        self._clock = clock
        self._metrics = metrics
        self._state = state

    async def run(self, wakeups: Wakeups, stopping: asyncio.Event) -> None:
        """Tells until `stopping`; images under way are finished first."""
        await work_claims(
            self.claim, self.tell, wakeups=wakeups, channel=CHANNEL, most=_AT_ONCE, stopping=stopping
        )

    async def keep_short(self, stopping: asyncio.Event) -> None:
        """Makes all marks into images, and tells nothing: for a stream that is switched off."""
        async with self._pool.acquire() as db:
            while not stopping.is_set() and await self._store.gather(db, _MARKS):
                pass

    async def claim(self, limit: int) -> Sequence[StreamClaim]:
        """Takes at most so many images of which there is something to tell."""
        async with self._pool.acquire() as db:
            await self._store.gather(db, _MARKS)
            return await self._store.claim(db, limit, _LEASE_SECONDS)

    async def tell(self, claim: StreamClaim) -> None:
        """Tells all that differs of one image; what somebody else tells meanwhile is left to them."""
        counts = Counter[Activity]()
        try:
            async with self._pool.acquire() as db:
                results = await self._store.latest(db, claim.image)
                told = await self._store.told(db, claim.image)
            for result in results:
                before = told.get((result.platform, result.engine))
                if before is None or _says_more(result, before):
                    counts += await self._tell_result(claim, result, before)
            if claim.gone and not results:
                counts += await self._tell_gone(claim)
                async with self._pool.acquire() as db:
                    await self._store.drop_image(db, claim)
            async with self._pool.acquire() as db:
                await self._store.settle(db, claim)
        except ClaimLost:
            log.info("findings.taken_over", repo_id=claim.image.repo_id, digest=claim.image.digest)
            return
        log.info(
            "findings.told",
            repo_id=claim.image.repo_id,
            digest=claim.image.digest,
            **{activity.name.lower(): counts[activity] for activity in Activity},
        )

    async def _tell_result(self, claim: StreamClaim, result: Result, before: Result | None) -> Counter[Activity]:
        async with self._pool.acquire() as db:
            stored = await self._store.report(db, result.scan_id)
            known = await self._store.fingerprints(db, claim.image, result)
        counts = Counter[Activity]()
        if stored is None:  # its results went meanwhile, of which the next look will know
            return counts
        said, groups = await asyncio.to_thread(read_report, stored, claim.image, result.platform, result.engine)
        del stored
        changed = [group for group in groups if group.uid not in known or known[group.uid][0] != group.fingerprint]
        vanished = sorted(known.keys() - {group.uid for group in groups})
        del groups
        for chunk in _chunks(changed):
            told = [bounded(group) for group in chunk]
            happenings = [found(claim.image, result, group, known.get(group.uid)) for group in told]
            messages = await asyncio.to_thread(self._written, happenings)
            async with self._holding(claim) as db:
                await self._store.put_open(db, claim.image, result, told)
                await self._outbox.add(db, messages)
            counts += self._count(happenings)
        counts += await self._tell_vanished(claim, result, before, said, vanished)
        async with self._holding(claim) as db:
            await self._store.put_told(db, claim.image, _as_told(result, said, before))
        return counts

    async def _tell_vanished(
        self,
        claim: StreamClaim,
        result: Result,
        before: Result | None,
        said: Told,
        vanished: Sequence[uuid.UUID],
    ) -> Counter[Activity]:
        """Closes what the scan vouches for; all else stays open."""
        vouching = Vouching(
            said,
            advisories_before=before.advisories_at if before else "",
            last=before is None or result.ended_at >= before.ended_at,
        )
        counts = Counter[Activity]()
        kept = 0
        for chunk in _chunks(vanished):
            async with self._pool.acquire() as db:
                findings = await self._store.some_open(db, claim.image, chunk, len(chunk))
            covered = [each for each in findings if vouching.covers(each.findings[0])]
            over = await self._consulted(result, said, covered)
            kept += len(findings) - len(over)
            counts += await self._close(claim, [not_found(claim.image, result, each) for each in over])
        if kept:
            log.info("findings.kept_open", digest=claim.image.digest, scan_id=result.scan_id, count=kept)
            self._metrics.kept_open(kept)
        return counts

    async def _consulted(
        self, result: Result, said: Told, findings: Sequence[OpenFinding]
    ) -> Sequence[OpenFinding]:
        if result.engine != Engine.SECURITY_CENTER.value:
            return findings  # nobody can ask Trivy's database; that it is no older was seen to
        if not any(is_of_advisories(each.findings[0]) for each in findings):
            return findings
        try:
            spoken = await asyncio.to_thread(
                consulted, self._files, said.advisories.version, [each.findings[0] for each in findings]
            )
        except ServiceError as error:
            log.warning("findings.advisories_unreadable", reason=error.reason)
            return []
        return [each for each, speaks in zip(findings, spoken, strict=True) if speaks]

    async def _tell_gone(self, claim: StreamClaim) -> Counter[Activity]:
        """Closes all that is open of an image that was deleted."""
        counts, now = Counter[Activity](), self._clock.now()
        while True:
            async with self._pool.acquire() as db:
                findings = await self._store.some_open(db, claim.image, None, _CHUNK)
            if not findings:
                return counts
            counts += await self._close(claim, [deleted(claim.image, each, now) for each in findings])

    async def _close(self, claim: StreamClaim, happenings: Sequence[Happening]) -> Counter[Activity]:
        if happenings:
            messages = await asyncio.to_thread(self._written, happenings)
            async with self._holding(claim) as db:
                await self._store.close(db, claim.image, [happening.uid for happening in happenings])
                await self._outbox.add(db, messages)
        return self._count(happenings)

    @asynccontextmanager
    async def _holding(self, claim: StreamClaim) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as db, db.transaction():
            if not await self._store.hold(db, claim, _LEASE_SECONDS):
                raise ClaimLost
            yield db

    def _written(self, happenings: Iterable[Happening]) -> list[Message]:
        return [message for happening in happenings for message in messages_of(happening, state=self._state)]

    def _count(self, happenings: Iterable[Happening]) -> Counter[Activity]:
        counts = Counter(happening.activity for happening in happenings)
        for activity, count in counts.items():
            self._metrics.told(activity, count)
        return counts


def _chunks(items: Sequence[T]) -> Iterable[Sequence[T]]:
    return (items[start : start + _CHUNK] for start in range(0, len(items), _CHUNK))


def _says_more(result: Result, before: Result) -> bool:
    """Tells whether a result may say something else than what was told last.

    Older scans come up again where the task of the last one went with its tag: its word stands, until newer
    advisories have something to say. Those are told of a scan whatever the clocks of two nodes make of it.
    """
    if result.scan_id == before.scan_id and result.verdict != before.verdict:
        return True
    return result.judged_at > before.judged_at


def _as_told(result: Result, said: Told, before: Result | None) -> Result:
    """With the youngest advisories that ever judged, and the last scan: older ones end nothing these found."""
    moments = [said.advisories.built_at, before.advisories_at if before else ""]
    ended_at = max(result.ended_at, before.ended_at) if before else result.ended_at
    return dataclasses.replace(result, advisories_at=max(moments, key=moment_of_writing), ended_at=ended_at)
