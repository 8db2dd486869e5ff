"""Intake: what the bus and callers ask for becomes tasks, in one transaction with their events."""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.scanner.api import State
from services.scanner.convert_events import from_image_event, from_scan_request
from services.scanner.events import ScanRequested
from services.scanner.records import Outcome, ScanKey, ScanRecord, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.run_store import CANCELLED, RunStore
from services.scanner.tasks.schedule import Scheduler
from services.scanner.tasks.tell import TaskTeller

_AT_ONCE = 4
"""Requests accepted in one transaction: while one is open, no reader of the PostgreSQL bus passes it."""


class Intake:
    """Accepts requests. Idempotent by task id and by revision."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ScannerStore,
        runs: RunStore,
        scheduler: Scheduler,
        teller: TaskTeller,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._store = store
        self._runs = runs
        self._scheduler = scheduler
        self._teller = teller
        self._clock = clock

    async def see_pushes(self, records: Sequence[Record]) -> None:
        """Handles `drydock.image.events.v1`: tags move, whether a rule asks for a scan or not."""
        pushes = [push for push in map(from_image_event, records) if push]
        if not pushes:
            return
        async with self._pool.acquire() as db, db.transaction():
            events = [push.event_id for push in pushes]
            now = self._clock.now()
            new = await self._store.see_events(db, events, now)
            await self._store.lock_tags(db, [push.image for push in pushes])
            doubted = False
            # In one order for all, so that two handlers never wait for each other's rows.
            for push in sorted(pushes, key=lambda push: (push.image.repo_id, push.image.tag, push.revision)):
                if push.event_id in new:
                    # What is told of is past: a clock that runs ahead makes no push newer than those to come.
                    pushed_at = min(push.occurred_at, now)
                    doubted |= await self._store.see_tag(db, push.image, push.revision, pushed_at)
            if doubted:
                await self._store.announce_doubts(db)

    async def take_requests(self, records: Sequence[Record]) -> None:
        """Handles `drydock.scan.requests.v1` and `drydock.scan.requests.bulk.v1`."""
        requests = [from_scan_request(record) for record in records]
        for first in range(0, len(requests), _AT_ONCE):
            async with self._pool.acquire() as db, db.transaction():
                await self.accept(db, requests[first : first + _AT_ONCE])

    async def accept(self, db: Connection, requests: Sequence[ScanRequested]) -> Sequence[TaskRecord]:
        """Saves tasks and makes sure that their scans are done or will be; a task that exists is left unchanged.

        A task on a scan that has ended ends at once, and tells so. Scans are locked in the order of their ids and
        tags in the order of their names, as everywhere.
        """
        run_ids = sorted({request.run_id for request in requests if request.run_id})
        cancelled = await self._runs.hold_runs(db, run_ids) if run_ids else frozenset()
        keyed = [(self._scheduler.key(request.image, request.engine), request) for request in requests]
        tasks = [
            await self._drop(db, key, request)
            if request.run_id in cancelled
            else await self._accept(db, key, request)
            for key, request in sorted(keyed, key=lambda pair: (pair[0].scan_id, pair[1].revision))
        ]
        await self._tell_tags(db, [request for request in requests if request.image.tag])
        return tasks

    async def reopen(self, db: Connection, tasks: Sequence[TaskRecord], *, lane: int) -> None:
        """Opens failed tasks again and makes sure that their scans will be done; others stay as they are."""
        keyed = [(self._scheduler.key(task.image, task.engine), task) for task in tasks]
        for key, task in sorted(keyed, key=lambda pair: pair[0].scan_id):
            scan = await self._scheduler.ensure(db, key, task.image, lane=lane)
            opened = await self._runs.reopen_task(db, task.task_id, scan.scan_id, _waiting(scan))
            if opened:
                await self._follow(db, opened, scan)

    async def _tell_tags(self, db: Connection, requests: Sequence[ScanRequested]) -> None:
        await self._store.lock_tags(db, [request.image for request in requests])
        doubted = False
        for request in sorted(requests, key=lambda each: (each.image.repo_id, each.image.tag, each.revision)):
            image, revision = request.image, request.revision
            if request.asked_at and request.run_id:
                doubted |= await self._store.meet_tag(db, image, request.asked_at)
            elif request.asked_at:
                await self._store.point_tag(db, image, revision, request.task_id, request.asked_at)
            else:
                await self._store.attach_task(db, image, revision)
        if doubted:
            await self._store.announce_doubts(db)

    async def _accept(self, db: Connection, key: ScanKey, request: ScanRequested) -> TaskRecord:
        known = await self._store.task(db, request.task_id)
        if known:
            return known
        scan = await self._scheduler.ensure(db, key, request.image, lane=request.lane)
        task = _task(request, scan.scan_id, _waiting(scan))
        if not await self._store.insert_task(db, task):  # another process was faster
            return await self._store.task(db, request.task_id) or task
        return await self._follow(db, task, scan)

    async def _follow(self, db: Connection, task: TaskRecord, scan: ScanRecord) -> TaskRecord:
        """Tells of a task that waits for a locked scan; one on an ended scan ends with it."""
        await self._teller.tell(db, [task])
        if not scan.outcome.state.ended:
            return task
        ended = await self._store.end_tasks(db, scan.scan_id, scan.outcome, self._clock.now())
        await self._teller.tell(db, ended)
        [own] = [each for each in ended if each.task_id == task.task_id]
        return own

    async def _drop(self, db: Connection, key: ScanKey, request: ScanRequested) -> TaskRecord:
        """Saves a task of a run that was called off meanwhile: it ends before anything is done for it."""
        task = _task(request, key.scan_id, State.PENDING)
        if not await self._store.insert_task(db, task):
            return await self._store.task(db, request.task_id) or task
        [ended] = await self._runs.cancel_tasks(db, [task.task_id], CANCELLED, self._clock.now())
        await self._teller.tell(db, [ended])
        return ended


def _waiting(scan: ScanRecord) -> State:
    """Returns the state of a task that waits for a scan.

    One that is put off says why to those whose repository it was asked in; others wait for their turn.
    """
    return State.RUNNING if scan.outcome.state is State.RUNNING else State.PENDING


def _task(request: ScanRequested, scan_id: str, state: State) -> TaskRecord:
    return TaskRecord(
        task_id=request.task_id,
        image=request.image,
        engine=request.engine,
        scan_id=scan_id,
        outcome=Outcome(state=state),
        rule_ids=request.rule_ids,
        target_ids=request.target_ids,
        created_at=request.requested_at,
        ended_at=None,
        traceparent=request.traceparent,
        run_id=request.run_id,
    )
