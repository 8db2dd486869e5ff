"""Writing what is told of a batch of images: rows and events in one transaction, of few findings, of many images.

An image of which nothing more is to be said is settled in the transaction that says the last of it. What is of an
image that somebody else has claimed meanwhile is left out; the others of the batch do not suffer from it.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import structlog

from services.kernel.bus.interface import Message
from services.kernel.db import Pool
from services.kernel.outbox import Outbox
from services.scanner.stream.events import messages_of
from services.scanner.stream.grouping import bounded, pack_content
from services.scanner.stream.happenings import Closing, FindingRow, Opening, found
from services.scanner.stream.metrics import StreamMetrics
from services.scanner.stream.records import Activity, Result, StreamClaim
from services.scanner.stream.store import StreamStore

log = structlog.get_logger()

LEASE_SECONDS: Final = 60.0
CHUNK: Final = 200
"""Findings of one transaction: none is open for long, because the readers of PostgreSQL's bus wait for it."""
_Written: TypeAlias = tuple[Opening | Closing, FindingRow, Sequence[Message]]


class Writing:
    """What is told of a batch, written in the order in which it is added; `flush` writes what is left."""

    def __init__(
        self, *, pool: Pool, store: StreamStore, outbox: Outbox, metrics: StreamMetrics, state: bool
    ) -> None:
        """With `state`, what the compacted topic holds is written, too."""
        self._pool = pool
        self._store = store
        self._outbox = outbox
        self._metrics = metrics
        self._state = state
        self._changes: list[Opening | Closing] = []
        self._told: list[tuple[StreamClaim, Result]] = []
        self._gone: list[StreamClaim] = []
        self._ended: list[StreamClaim] = []
        self._counts: dict[StreamClaim, Counter[Activity]] = defaultdict(Counter)
        self._lost: set[StreamClaim] = set()
        self._settled: set[StreamClaim] = set()

    def left_of(self, claims: Sequence[StreamClaim]) -> Sequence[StreamClaim]:
        """Returns the images that are neither told to their end nor somebody else's."""
        return [claim for claim in claims if claim not in self._settled and claim not in self._lost]

    async def add(self, changes: Iterable[Opening | Closing]) -> None:
        """Tells findings; once there are enough for a transaction, they are written."""
        for change in changes:
            self._changes.append(change)
            if len(self._changes) >= CHUNK:
                await self.flush()

    def tell_to_end(self, claim: StreamClaim, result: Result) -> None:
        """Says that all of a result was added."""
        self._told.append((claim, result))

    def settle(self, claim: StreamClaim, *, gone: bool) -> None:
        """Says that all of an image was added; with `gone`, that nothing of it is open any more."""
        self._ended.append(claim)
        if gone:
            self._gone.append(claim)

    async def flush(self) -> None:
        """Writes what was added since the last time, but for images that somebody else has."""
        changes, told, gone, ended = self._changes, self._told, self._gone, self._ended
        self._changes, self._told, self._gone, self._ended = [], [], [], []
        claims = {change.claim for change in changes}.union(ended, (claim for claim, _ in told)) - self._lost
        if not claims:
            return
        written = await asyncio.to_thread(lambda: [self._written(each) for each in changes])
        async with self._pool.acquire() as db, db.transaction():
            held = await self._store.hold(db, claims, LEASE_SECONDS)
            written = [each for each in written if each[0].claim in held]
            await self._store.put_open(db, [row for change, row, _ in written if isinstance(change, Opening)])
            await self._store.close(db, [row for change, row, _ in written if isinstance(change, Closing)])
            await self._outbox.add(db, [message for _, _, messages in written for message in messages])
            await self._store.put_told(db, [(claim.image, result) for claim, result in told if claim in held])
            for claim in held.intersection(gone):
                await self._store.drop_image(db, claim)
            await self._store.settle(db, held.intersection(ended))
        self._note(written, claims - held, held.intersection(ended))

    def _written(self, change: Opening | Closing) -> _Written:
        """Returns a finding as its row has it, and as messages. Takes long: call it from a thread."""
        if isinstance(change, Closing):
            happening, fingerprint, content = change.happening, b"", b""
        else:
            group = bounded(change.group)
            happening = found(change.claim.image, change.result, group, change.known)
            fingerprint, content = group.fingerprint, pack_content(group.findings)
        row = FindingRow(image=change.claim.image, happening=happening, fingerprint=fingerprint, content=content)
        return change, row, messages_of(happening, state=self._state)

    def _note(self, written: Sequence[_Written], lost: set[StreamClaim], settled: set[StreamClaim]) -> None:
        """Counts and logs what was committed."""
        total = Counter[Activity]()
        for change, row, _ in written:
            self._counts[change.claim][row.happening.activity] += 1
            total[row.happening.activity] += 1
        for activity, count in total.items():
            self._metrics.told(activity, count)
        for claim in lost:
            log.info("findings.taken_over", repo_id=claim.image.repo_id, digest=claim.image.digest)
        for claim in settled:
            counts = self._counts.pop(claim, Counter())
            log.info(
                "findings.told",
                repo_id=claim.image.repo_id,
                digest=claim.image.digest,
                **{activity.name.lower(): counts[activity] for activity in Activity},
            )
        self._lost |= lost
        self._settled |= settled
