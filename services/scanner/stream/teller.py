"""Telling findings: the last reports of images are held against what is open, and differences told.

An image is looked at as it stands, not change by change: whatever was missed, repeated or told out of order, the
next look puts it right. What is told goes to the outbox in the transaction that remembers it (decision 0043).
"""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

import structlog

from services.kernel.claims import work_claims
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.model.engine import Engine
from services.kernel.outbox import Outbox
from services.kernel.wakeup import Wakeups
from services.scanner.advisories.files import AdvisoryFiles
from services.scanner.stream.consulting import consulted
from services.scanner.stream.grouping import Differences
from services.scanner.stream.happenings import Closing, Opening, deleted, not_found
from services.scanner.stream.metrics import StreamMetrics
from services.scanner.stream.records import (
    Difference,
    Look,
    OpenFinding,
    Result,
    StreamClaim,
    Told,
)
from services.scanner.stream.store import StreamStore
from services.scanner.stream.vouching import Vouching, is_of_advisories, moment_of_writing
from services.scanner.stream.writing import CHUNK, LEASE_SECONDS, Writing

log = structlog.get_logger()

CHANNEL: Final = "drydock_scanner_stream"
_MARKS: Final = 1000
_BATCH: Final = 32
"""Images that are read and written together."""
_BATCH_SECONDS: Final = 1.0
"""After so long those images of a batch go back that were not looked at: who cannot wait is not behind them."""
_AT_ONCE: Final = 2
"""Batches: a large report is held in memory meanwhile."""
_READ_BYTES: Final = 1 << 18
"""Of reports as they are stored, read at once; each is twenty times as large while it is looked at."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Due:
    """A result that may say something else than what was told."""

    claim: StreamClaim
    result: Result
    before: Result | None


class FindingTeller:
    """Tells findings. Any number of processes share the work, some images each."""

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

        async def claim(limit: int) -> Sequence[Sequence[StreamClaim]]:
            claims = await self.claim_batch() if limit else ()
            return [claims] if claims else []

        await work_claims(claim, self.tell, wakeups=wakeups, channel=CHANNEL, most=_AT_ONCE, stopping=stopping)

    async def keep_short(self, stopping: asyncio.Event) -> None:
        """Makes all marks into images, and tells nothing: for a stream that is switched off."""
        async with self._pool.acquire() as db:
            while not stopping.is_set() and await self._store.gather(db, _MARKS):
                pass

    async def claim(self, limit: int) -> Sequence[StreamClaim]:
        """Takes at most so many images of which there is something to tell."""
        async with self._pool.acquire() as db:
            await self._store.gather(db, _MARKS)
            return await self._store.claim(db, limit, LEASE_SECONDS)

    async def claim_batch(self) -> Sequence[StreamClaim]:
        """Takes images that may be told together.

        One that was claimed before and not told comes alone: a report that kills its reader takes no other along.
        """
        claims = await self.claim(_BATCH)
        chosen = [claim for claim in claims if not claim.again] or claims[:1]
        left = [claim for claim in claims if claim not in chosen]
        if left:
            async with self._pool.acquire() as db:
                await self._store.give_back(db, left)
        return chosen

    async def tell(self, claims: Sequence[StreamClaim]) -> None:
        """Tells all that differs of some images; what somebody else tells meanwhile is left to them.

        Where one of them cannot be told, the others are, each by itself: it is due again after its pause.
        """
        writing = self._writing()
        try:
            await self._tell(claims, writing)
        except Exception as error:
            if len(claims) == 1 or is_outage(error):
                raise
            log.info("findings.told_apart", error=type(error).__name__, images=len(claims))
            for claim in writing.left_of(claims):
                await self._tell_alone(claim)

    async def _tell_alone(self, claim: StreamClaim) -> None:
        try:
            await self._tell([claim], self._writing())
        except Exception as error:
            if is_outage(error):
                raise
            image = claim.image
            log.error("findings.broke", repo_id=image.repo_id, digest=image.digest, exc_info=error)

    def _writing(self) -> Writing:
        return Writing(
            pool=self._pool,
            store=self._store,
            outbox=self._outbox,
            metrics=self._metrics,
            state=self._state,
        )

    async def _tell(self, claims: Sequence[StreamClaim], writing: Writing) -> None:
        began = self._clock.monotonic()
        async with self._pool.acquire() as db:
            looks = await self._store.looks(db, claims)
        differences = Differences()
        for number, some in enumerate(_portions(looks)):
            if number and self._clock.monotonic() - began > _BATCH_SECONDS:
                break
            async for due, found in self._differences(some, differences):
                await self._tell_result(due, found, writing)
            for look in some:
                await self._end(look, writing)
        await writing.flush()
        left = writing.left_of(claims)
        if left:
            async with self._pool.acquire() as db:
                await self._store.give_back(db, left)

    async def _differences(
        self, looks: Sequence[Look], differences: Differences
    ) -> AsyncIterator[tuple[_Due, Difference]]:
        """Reads what may be news: all at once, and looks at it one by one."""
        due = [each for look in looks for each in _due(look)]
        if not due:
            return
        async with self._pool.acquire() as db:
            reports = await self._store.reports(db, {each.result.scan_id for each in due})
            known = await self._store.known(db, [(each.claim.image, each.result) for each in due])
        for each, written in zip(due, known, strict=True):
            stored = reports.get(each.result.scan_id)
            if stored is not None:  # else its results went meanwhile, of which the next look will know
                found = await asyncio.to_thread(differences.of, stored, each.claim.image, each.result, written)
                yield each, found

    async def _tell_result(self, due: _Due, found: Difference, writing: Writing) -> None:
        claim, result, before = due.claim, due.result, due.before
        await writing.add(
            Opening(claim=claim, result=result, group=group, known=known) for group, known in found.changed
        )
        await self._tell_vanished(due, found, writing)
        writing.tell_to_end(claim, _as_told(result, found.said, before))

    async def _tell_vanished(self, due: _Due, found: Difference, writing: Writing) -> None:
        """Closes what the scan vouches for; all else stays open."""
        claim, result, before, said = due.claim, due.result, due.before, found.said
        vouching = Vouching(
            said,
            advisories_before=before.advisories_at if before else "",
            last=before is None or result.ended_at >= before.ended_at,
        )
        kept = 0
        for start in range(0, len(found.vanished), CHUNK):
            uids = found.vanished[start : start + CHUNK]
            async with self._pool.acquire() as db:
                findings = await self._store.some_open(db, claim.image, uids=uids, limit=CHUNK)
            covered = [each for each in findings if vouching.covers(each.findings[0])]
            over = await self._consulted(result, said, covered)
            kept += len(findings) - len(over)
            await writing.add(
                Closing(claim=claim, happening=not_found(claim.image, result, each)) for each in over
            )
        if kept:
            log.info("findings.kept_open", digest=claim.image.digest, scan_id=result.scan_id, count=kept)
            self._metrics.kept_open(kept)

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

    async def _end(self, look: Look, writing: Writing) -> None:
        """Nothing more is to be said of an image; of one that was deleted, all that is open is over."""
        gone = look.claim.gone and not look.results
        if gone:
            await self._tell_gone(look.claim, writing)
        writing.settle(look.claim, gone=gone)

    async def _tell_gone(self, claim: StreamClaim, writing: Writing) -> None:
        now, after = self._clock.now(), uuid.UUID(int=0)
        while True:
            async with self._pool.acquire() as db:
                findings = await self._store.some_open(db, claim.image, after=after, limit=CHUNK)
            if not findings:
                return
            await writing.add(Closing(claim=claim, happening=deleted(claim.image, each, now)) for each in findings)
            after = findings[-1].uid


def _portions(looks: Sequence[Look]) -> Iterator[Sequence[Look]]:
    """Takes together what may be read at once, in order; an image is never taken apart."""
    some: list[Look] = []
    size = 0
    for look in looks:
        needed = sum(each.result.bytes for each in _due(look))
        if some and size + needed > _READ_BYTES:
            yield some
            some, size = [], 0
        some.append(look)
        size += needed
    if some:
        yield some


def _due(look: Look) -> Sequence[_Due]:
    pairs = [(result, look.told.get((result.platform, result.engine))) for result in look.results]
    return [
        _Due(claim=look.claim, result=result, before=before)
        for result, before in pairs
        if before is None or _says_more(result, before)
    ]


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
