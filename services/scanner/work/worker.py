"""The worker: leases scans, keeps the leases alive, and turns whatever happens into an end or another try."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Awaitable, Callable

import structlog

from services.kernel.db import Connection, Pool, is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.reasons import INSTANCE_REFUSALS, Reason, Retry, ScanFailure
from services.kernel.wakeup import Wakeups, wait_any
from services.registry.interface import ImageIndex
from services.scanner.pipeline.record import LeaseLost, Recorder
from services.scanner.records import Lease, ScannedImage, ScanRecord
from services.scanner.settings import ScannerSettings
from services.scanner.store import ScannerStore
from services.scanner.work.lanes import Slots

log = structlog.get_logger()

ScanWork = Callable[[Lease, ScanRecord], Awaitable[ScannedImage | ImageIndex]]
"""Does one scan; raises `ScanFailure`, or `ServiceError` when an instance cannot be asked for."""
_CHANNEL = "drydock_scanner_work"
_LOOK_SECONDS = 1.0
_ROUSED_AT_ONCE = 500
_PASSING = frozenset(
    {Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED, Kind.ABORTED, Kind.RESOURCE_EXHAUSTED, Kind.INTERNAL}
)

_AWAY = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
"""Kinds of a service that could not be asked."""


class Worker:
    """Works on a bounded number of scans at once, for as long as the process lives."""

    def __init__(
        self,
        *,
        owner: str,
        pool: Pool,
        store: ScannerStore,
        recorder: Recorder,
        work: ScanWork,
        wakeups: Wakeups,
        settings: ScannerSettings,
        random_source: random.Random,
        slots: Slots,
    ) -> None:
        self._owner = owner
        self._pool = pool
        self._store = store
        self._recorder = recorder
        self._work = work
        self._wakeups = wakeups
        self._settings = settings
        self._random = random_source
        self._slots = slots
        self._rouse_at = 0.0

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping`, then finishes what it has; cancelling gives unfinished leases back at once."""
        async with self._wakeups.subscribe(_CHANNEL) as news:
            with self._slots.hearing(news.set):
                async with asyncio.TaskGroup() as tasks:
                    await self._work_on(tasks, news, stopping)

    async def _work_on(self, tasks: asyncio.TaskGroup, news: asyncio.Event, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            news.clear()
            async with self._slots.deciding:
                begun = await self._begin()
                if begun is not None:
                    self._slots.take(begun[0].lane, _now())
            if begun is None:
                await wait_any((news, stopping), _LOOK_SECONDS)
                continue
            lease, scan = begun
            task = tasks.create_task(self._hold(lease, scan), name=f"scan-{lease.scan_id}")
            task.add_done_callback(functools.partial(self._ended, lease.lane))

    def _ended(self, lane: int, task: asyncio.Task[None]) -> None:
        del task
        self._slots.give_back(lane, _now())

    async def _begin(self) -> tuple[Lease, ScanRecord] | None:
        """Leases the next scan that there is a slot for, and marks it as running; None when there is none."""
        lanes = self._slots.open_lanes(_now())
        if not lanes:
            return None
        lease: Lease | None = None
        try:
            async with self._pool.acquire() as db:
                await self._rouse(db)
                lease = await self._store.claim(db, self._owner, self._settings.lease_seconds, lanes)
            if lease is None:
                return None
            return lease, (await self._recorder.begin([lease]))[lease.scan_id]
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("worker.interrupted", error=type(error).__name__)
            if lease is not None:
                await self._give_back(lease)
            await asyncio.sleep(_LOOK_SECONDS)
            return None

    async def _rouse(self, db: Connection) -> None:
        """Lets scans that were put off until now wait for their turn again; looks once a second."""
        if _now() >= self._rouse_at:
            await self._store.rouse(db, _ROUSED_AT_ONCE)
            self._rouse_at = _now() + _LOOK_SECONDS

    async def _hold(self, lease: Lease, scan: ScanRecord) -> None:
        """Works on one scan while the heartbeat holds its lease."""
        with structlog.contextvars.bound_contextvars(scan_id=lease.scan_id, digest=scan.key.digest):
            try:
                async with asyncio.TaskGroup() as group:
                    beating = group.create_task(self._beat(lease), name=f"heartbeat-{lease.scan_id}")
                    try:
                        await self._scan(lease, scan)
                    except asyncio.CancelledError:
                        await self._give_back(lease)
                        raise
                    beating.cancel()
            except* LeaseLost:
                log.warning("lease.lost", fence=lease.fence)

    async def _beat(self, lease: Lease) -> None:
        """Keeps the lease until cancelled; while the database is away it keeps trying.

        Raises:
            LeaseLost: somebody else has it now.
        """
        while True:
            await asyncio.sleep(self._settings.lease_seconds / 3)
            try:
                async with self._pool.acquire() as db:
                    if not await self._store.heartbeat(db, lease, self._settings.lease_seconds):
                        raise LeaseLost(lease.scan_id)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("lease.delayed", error=type(error).__name__)

    async def _give_back(self, lease: Lease) -> None:
        try:
            async with asyncio.timeout(2), self._pool.acquire() as db:
                await self._store.release(db, lease)
        except Exception as error:
            if not is_outage(error):
                raise
            log.info("lease.left", error=type(error).__name__)  # it runs out by itself

    async def _scan(self, lease: Lease, scan: ScanRecord) -> None:
        started = asyncio.get_running_loop().time()
        log.info("scan.started", attempt=lease.attempts, lane=lease.lane)
        end = "interrupted"
        try:
            end = await self._attempt(lease, scan)
        except (LeaseLost, asyncio.CancelledError):
            raise
        except Exception as error:
            if is_outage(error):
                # The lease runs out, and then somebody begins anew.
                log.warning("scan.interrupted", error=type(error).__name__)
            else:  # one scan that cannot be done or recorded is no dead worker
                log.error("scan.broke", exc_info=error)
                end = await self._failed(lease, _broke(error))
        seconds = round(asyncio.get_running_loop().time() - started, 3)
        log.info("scan.finished", end=end, seconds=seconds)

    async def _attempt(self, lease: Lease, scan: ScanRecord) -> str:
        deadline = asyncio.timeout(self._settings.scan_seconds)
        try:
            if lease.attempts > self._settings.attempts:
                raise _given_up(lease.attempts - 1)
            async with deadline:
                result = await self._work(lease, scan)
        except TimeoutError:
            if not deadline.expired():  # somebody else's deadline, such as the database's
                raise
            return await self._failed(lease, _too_slow(self._settings.scan_seconds))
        except ScanFailure as failure:
            return await self._failed(lease, failure)
        except ServiceError as error:
            if error.kind in _AWAY:
                return await self._put_back(lease, _from_service(error))
            return await self._failed(lease, _from_service(error))
        return await self._succeeded(lease, scan, result)

    async def _succeeded(self, lease: Lease, scan: ScanRecord, result: ScannedImage | ImageIndex) -> str:
        async def write() -> None:
            if isinstance(result, ImageIndex):
                await self._recorder.expand(lease, scan, result)
            else:
                await self._recorder.complete(lease, result)

        await self._insist(write)
        return "expanded" if isinstance(result, ImageIndex) else "complete"

    async def _failed(self, lease: Lease, failure: ScanFailure) -> str:
        again = failure.why.retry is Retry.AUTOMATIC and lease.attempts < self._settings.attempts
        log.warning("scan.failed", reason=failure.reason, message=failure.message, again=again)
        if again:
            seconds = self._pause(lease.attempts, failure.retry_after)
            await self._insist(lambda: self._recorder.retry(lease, failure, seconds))
            return "retrying"
        record = self._recorder.fail_in_repository if failure.why.of_repository else self._recorder.fail
        await self._insist(lambda: record(lease, failure))
        return "failed"

    async def _put_back(self, lease: Lease, failure: ScanFailure) -> str:
        """Puts a scan off whose image was not even asked for: what other services are up to is no fault of it."""
        log.warning("scan.put_back", reason=failure.reason, message=failure.message)
        seconds = self._pause(1, failure.retry_after)
        await self._insist(lambda: self._recorder.retry(lease, failure, seconds, counted=False))
        return "retrying"

    def _pause(self, attempts: int, retry_after: float | None) -> float:
        longest = self._settings.retry_longest_seconds
        backoff = min(self._settings.retry_first_seconds * 2.0 ** (attempts - 1), longest)
        return min(max(backoff * self._random.uniform(0.5, 1.0), retry_after or 0.0), longest)

    async def _insist(self, write: Callable[[], Awaitable[None]]) -> None:
        """Writes a result, through short outages of the database, while the heartbeat holds the lease."""
        while True:
            try:
                await write()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("record.delayed", error=type(error).__name__)
                await asyncio.sleep(_LOOK_SECONDS)
            else:
                return


def _now() -> float:
    return asyncio.get_running_loop().time()


def _given_up(attempts: int) -> ScanFailure:
    return ScanFailure(
        Reason.WORKER_DIED,
        f"The scan was begun {attempts} times, and in the end its worker died.",
        hint="Look at the scanner's log and memory.",
    )


def _too_slow(seconds: float) -> ScanFailure:
    return ScanFailure(
        Reason.SCAN_TIMED_OUT,
        f"The scan took longer than {seconds:.0f} seconds.",
        hint="Raise DRYDOCK_SCANNER_SCAN_SECONDS if the image is that large.",
    )


def _from_service(error: ServiceError) -> ScanFailure:
    if error.reason in INSTANCE_REFUSALS:
        reason = Reason.INSTANCE_GONE
    elif error.reason.startswith("ADVISOR"):
        reason = Reason.ADVISORIES_MISSING
    elif error.kind in _PASSING:
        reason = Reason.INTERNAL
    else:
        reason = Reason.PRECONDITION_FAILED
    return ScanFailure(reason, error.message, hint=error.hint, retry_after=error.retry_after)


def _broke(error: Exception) -> ScanFailure:
    return ScanFailure(
        Reason.INTERNAL,
        "The scan stopped because of a fault of ours.",
        hint="The scanner's log has the details under this scan's id.",
        metadata={"error": type(error).__name__},
    )
