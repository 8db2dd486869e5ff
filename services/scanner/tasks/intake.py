"""Intake: what the bus and callers ask for becomes tasks, in one transaction with their events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.scanner.api import State
from services.scanner.convert_events import from_image_event, from_scan_request
from services.scanner.events import ScanRequested
from services.scanner.records import Outcome, ScanRecord, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.schedule import Scheduler, Wanted
from services.scanner.tasks.tell import TaskTeller

_AT_ONCE = 20
"""Requests accepted in one transaction: while one is open, no reader of the PostgreSQL bus passes it."""


class Intake:
    """Accepts requests. Idempotent by task id and by revision."""

    def __init__(
        self, *, pool: Pool, store: ScannerStore, scheduler: Scheduler, teller: TaskTeller, clock: Clock
    ) -> None:
        self._pool = pool
        self._store = store
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
        known = await self._store.tasks_by_id(db, [request.task_id for request in requests])
        asked = {request.task_id: request for request in requests if request.task_id not in known}
        tasks = {**known, **(await self._begin(db, list(asked.values())) if asked else {})}
        await self._tell_tags(db, [request for request in requests if request.image.tag])
        return [tasks[request.task_id] for request in requests]

    async def _begin(self, db: Connection, requests: Sequence[ScanRequested]) -> Mapping[str, TaskRecord]:
        keys = {request.task_id: self._scheduler.key(request.image, request.engine) for request in requests}
        requests = sorted(requests, key=lambda each: (keys[each.task_id].scan_id, each.revision))
        scans = await self._scheduler.ensure(
            db, [Wanted(key=keys[each.task_id], image=each.image, lane=each.lane) for each in requests]
        )
        # Looked for again under the locks of the scans: another process may have been faster.
        known = await self._store.tasks_by_id(db, list(keys))
        new = [_task(each, scans[keys[each.task_id].scan_id]) for each in requests if each.task_id not in known]
        await self._store.insert_tasks(db, new)
        await self._teller.tell(db, new)
        tasks = {**known, **{task.task_id: task for task in new}}
        for scan_id in sorted({task.scan_id for task in new if scans[task.scan_id].outcome.state.ended}):
            ended = await self._store.end_tasks(db, scan_id, scans[scan_id].outcome, self._clock.now())
            await self._teller.tell(db, ended)
            tasks |= {task.task_id: task for task in ended if task.task_id in tasks}
        return tasks

    async def _tell_tags(self, db: Connection, requests: Sequence[ScanRequested]) -> None:
        await self._store.lock_tags(db, [request.image for request in requests])
        ordered = sorted(requests, key=lambda each: (each.image.repo_id, each.image.tag, each.revision))
        await self._store.attach_tasks(db, [(each.image, each.revision) for each in ordered if not each.asked_at])
        for each in ordered:
            if each.asked_at:
                await self._store.point_tag(db, each.image, each.revision, each.task_id, each.asked_at)


def _task(request: ScanRequested, scan: ScanRecord) -> TaskRecord:
    return TaskRecord(
        task_id=request.task_id,
        image=request.image,
        engine=request.engine,
        scan_id=scan.scan_id,
        # One that is put off says why to those whose repository it was asked in; others wait for their turn.
        outcome=Outcome(state=State.RUNNING if scan.outcome.state is State.RUNNING else State.PENDING),
        rule_ids=request.rule_ids,
        target_ids=request.target_ids,
        created_at=request.requested_at,
        ended_at=None,
        traceparent=request.traceparent,
    )
