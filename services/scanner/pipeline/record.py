"""Record: how a scan goes on or ends, each in one transaction with its report, tasks and events.

Nothing is written without the lease: a worker that lost it finds that its fence is gone and changes nothing.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.model.reference import RepositoryName
from services.kernel.reasons import ScanFailure
from services.registry.interface import ImageIndex
from services.scanner.api import State
from services.scanner.records import (
    ImageAddress,
    Lease,
    Outcome,
    PartRecord,
    ScanKey,
    ScannedImage,
    ScanRecord,
    StoredReport,
)
from services.scanner.reports import read_report
from services.scanner.store import ScannerStore
from services.scanner.tasks.platforms import merge_parts
from services.scanner.tasks.schedule import Scheduler, Wanted
from services.scanner.tasks.tell import TaskTeller


class LeaseLost(Exception):
    """Somebody else has the scan now: what was done here does not count."""


class Recorder:
    """Writes what becomes of scans."""

    def __init__(
        self, *, pool: Pool, store: ScannerStore, scheduler: Scheduler, teller: TaskTeller, clock: Clock
    ) -> None:
        self._pool = pool
        self._store = store
        self._scheduler = scheduler
        self._teller = teller
        self._clock = clock

    async def begin(self, leases: Sequence[Lease]) -> Mapping[str, ScanRecord]:
        """Marks leased scans, and indexes that they are parts of, as running; returns the scans by id."""
        running = Outcome(state=State.RUNNING)
        async with self._pool.acquire() as db, db.transaction():
            ids = sorted(lease.scan_id for lease in leases)
            scans = {scan_id: await self._store.lock_scan(db, scan_id) for scan_id in ids}
            indexes = {scan_id: await self._store.indexes_of(db, scan_id) for scan_id in ids}
            for scan_id in ids:
                lender, loan = await self._store.begin_scan(db, scan_id, indexes[scan_id])
                scans[scan_id] = dataclasses.replace(scans[scan_id], lender=lender, loan=loan)
            whole = sorted({index for found in indexes.values() for index in found})
            for scan_id in whole:
                await self._store.change_scan(db, scan_id, running)
            await self._store.change_tasks(db, [*ids, *whole], running)
        return scans

    async def complete(self, lease: Lease, scanned: ScannedImage) -> None:
        """Ends a scan well: report, states and events become readable together.

        Raises:
            LeaseLost: nothing was written.
        """
        async with self._ending(lease) as db:
            await self._store.name_platform(db, lease.scan_id, scanned.platform)
            await self._store.put_report(db, lease.scan_id, scanned)
            await self._end(db, lease.scan_id, scanned.outcome)

    async def fail(self, lease: Lease, failure: ScanFailure) -> None:
        """Ends a scan with its reason.

        Raises:
            LeaseLost: nothing was written.
        """
        async with self._ending(lease) as db:
            await self._end(db, lease.scan_id, _failed(failure))

    async def fail_in_repository(self, lease: Lease, failure: ScanFailure) -> None:
        """Ends the tasks that the repository was asked for; where others wait, the scan goes on for them.

        Decided under the scan's lock: whoever joins before is seen, whoever joins after finds the scan put to work
        or ended. An index whose platform nobody waits for any more ends with it.

        Raises:
            LeaseLost: nothing was written.
        """
        async with self._pool.acquire() as db, db.transaction():
            scan, now = await self._store.lock_scan(db, lease.scan_id), self._clock.now()
            outcomes = {scan.scan_id: _failed(failure)}
            for index_id, platform in (await self._store.indexes_of(db, scan.scan_id)).items():
                outcomes[index_id] = _failed(failure, f"{platform}: ")
            for scan_id, outcome in outcomes.items():
                ended = await self._store.end_asked_tasks(db, scan_id, scan, outcome, now)
                await self._teller.tell(db, ended)
            other = await self._store.waiting_repository(db, list(outcomes))
            if not await (self._store.hand_on(db, lease) if other else self._store.finish(db, lease)):
                raise LeaseLost(lease.scan_id)
            if other:
                await self._store.restart_scan(db, scan.key, other.namespace, other.name)
                await self._store.announce_work(db)
                return
            for scan_id, outcome in outcomes.items():
                await self._store.end_scan(db, scan_id, outcome, now)

    async def retry(self, lease: Lease, failure: ScanFailure, seconds: float, *, counted: bool = True) -> None:
        """Puts a scan off for some seconds and tells why; an attempt that does not count leaves all others to it.

        Raises:
            LeaseLost: nothing was written.
        """
        outcome = Outcome(state=State.RETRYING, reason=failure.reason, message=failure.sentence())
        async with self._pool.acquire() as db, db.transaction():
            scan = await self._store.lock_scan(db, lease.scan_id)
            asked = RepositoryName(namespace=scan.namespace, name=scan.repository)
            if not await self._store.postpone(db, lease, seconds, counted=counted):
                raise LeaseLost(lease.scan_id)
            await self._store.change_scan(db, lease.scan_id, outcome)
            concerned = [lease.scan_id, *await self._store.indexes_of(db, lease.scan_id)]
            of = asked if failure.why.of_repository else None
            await self._teller.tell(db, await self._store.change_tasks(db, concerned, outcome, of))

    async def expand(self, lease: Lease, scan: ScanRecord, index: ImageIndex) -> None:
        """Replaces the scan of an index, or of several engines, by the scans of its platforms by each engine.

        It ends when all of them have.

        Raises:
            LeaseLost: nothing was written.
        """
        parts = [
            (key, str(child.platform), number)
            for number, child in enumerate(index.children)
            for key in self._scheduler.part_keys(scan.key, child.descriptor.digest)
        ]
        async with self._pool.acquire() as db, db.transaction():
            # Parts before their index, and parts in one order: whoever ends a part locks it so, too.
            scans = await self._scheduler.ensure(
                db,
                [
                    Wanted(key=key, image=_address(scan, key), lane=lease.lane, platform=platform)
                    for key, platform, _ in parts
                ],
            )
            await self._take_back(db, lease)
            for key, platform, number in parts:
                part = scans[key.scan_id]
                await self._store.insert_part(db, scan.scan_id, part.scan_id, platform, number)
            await self._end_index(db, scan.scan_id)

    @asynccontextmanager
    async def _ending(self, lease: Lease) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as db, db.transaction():
            await self._take_back(db, lease)
            yield db

    async def _take_back(self, db: Connection, lease: Lease) -> None:
        """Locks the scan and ends the work on it, which only the holder of the lease can."""
        await self._store.lock_scan(db, lease.scan_id)
        if not await self._store.finish(db, lease):
            raise LeaseLost(lease.scan_id)

    async def _end(self, db: Connection, scan_id: str, outcome: Outcome) -> None:
        now = self._clock.now()
        await self._store.end_scan(db, scan_id, outcome, now)
        await self._teller.tell(db, await self._store.end_tasks(db, scan_id, outcome, now))
        for index_id in await self._store.indexes_of(db, scan_id):
            await self._end_index(db, index_id)

    async def _end_index(self, db: Connection, index_id: str) -> None:
        """Ends an index, which the caller has locked, if all its platforms have ended."""
        parts = await self._store.parts_of(db, index_id)
        if not all(part.outcome.state.ended for part in parts):
            return
        packed = await self._store.reports(db, [part.scan_id for part in parts])
        await self._end(db, index_id, await asyncio.to_thread(_merge, parts, packed))


def _failed(failure: ScanFailure, where: str = "") -> Outcome:
    return Outcome(state=State.FAILED, reason=failure.reason, message=where + failure.sentence())


def _address(index: ScanRecord, key: ScanKey) -> ImageAddress:
    return ImageAddress(
        instance_id=key.instance_id,
        repo_id="",
        namespace=index.namespace,
        repository=index.repository,
        tag="",
        digest=key.digest,
    )


def _merge(parts: Sequence[PartRecord], packed: Mapping[str, StoredReport]) -> Outcome:
    return merge_parts(parts, {scan_id: read_report(stored) for scan_id, stored in packed.items()})
