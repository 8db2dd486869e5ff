"""Intake: what the bus and callers ask for becomes tasks, in one transaction with their events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.model.engine import Engine
from services.scanner.api import State
from services.scanner.convert_events import from_image_event, from_scan_request
from services.scanner.events import ScanRequested, TagPushed
from services.scanner.records import ImageAddress, Outcome, ScanKey, ScanRecord, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.run_store import CANCELLED, RunStore
from services.scanner.tasks.schedule import Scheduler, Wanted
from services.scanner.tasks.tell import TaskTeller

_AT_ONCE = 20
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
        pushes = [push for push in map(from_image_event, records) if isinstance(push, TagPushed)]
        if not pushes:
            return
        async with self._pool.acquire() as db, db.transaction():
            events = [push.event_id for push in pushes]
            now = self._clock.now()
            new = await self._store.see_events(db, events, now)
            await self._store.lock_tags(db, [push.image for push in pushes])
            # In one order for all, so that two handlers never wait for each other's rows.
            pushes.sort(key=lambda push: (push.image.repo_id, push.image.tag, push.revision))
            # What is told of is past: a clock that runs ahead makes no push newer than those to come.
            seen = [
                (push.image, push.revision, min(push.occurred_at, now)) for push in pushes if push.event_id in new
            ]
            if await self._store.see_tags(db, seen):
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
        known = await self._store.tasks_by_id(db, [request.task_id for request in requests])
        asked = {request.task_id: request for request in requests if request.task_id not in known}
        late = [request for request in asked.values() if request.run_id in cancelled]
        wanted = [request for request in asked.values() if request.run_id not in cancelled]
        begun = await self._begin(db, wanted) if wanted else {}
        dropped = await self._drop(db, late) if late else {}
        tasks = {**known, **begun, **dropped}
        await self._tell_tags(db, [request for request in requests if request.image.tag])
        return [tasks[request.task_id] for request in requests]

    async def _begin(self, db: Connection, requests: Sequence[ScanRequested]) -> Mapping[str, TaskRecord]:
        keys = {request.task_id: self._key(request.image, request.engine) for request in requests}
        requests = sorted(requests, key=lambda each: (keys[each.task_id].scan_id, each.revision))
        scans = await self._scheduler.ensure(
            db, [Wanted(key=keys[each.task_id], image=each.image, lane=each.lane) for each in requests]
        )
        # Looked for again under the locks of the scans: another process may have been faster.
        known = await self._store.tasks_by_id(db, list(keys))
        waits = {task_id: scans[key.scan_id] for task_id, key in keys.items() if task_id not in known}
        new = [
            _task(each, waits[each.task_id].scan_id, _waiting(waits[each.task_id]))
            for each in requests
            if each.task_id in waits
        ]
        await self._store.insert_tasks(db, new)
        await self._teller.tell(db, new)
        tasks = {**known, **{task.task_id: task for task in new}}
        ended = await self._end_with_scans(db, new, scans.values())
        return {**tasks, **{task.task_id: task for task in ended if task.task_id in tasks}}

    async def _end_with_scans(
        self, db: Connection, tasks: Sequence[TaskRecord], scans: Iterable[ScanRecord]
    ) -> Sequence[TaskRecord]:
        """Ends the tasks whose locked scans have ended, and all others that are open on these; tells so."""
        outcomes = {scan.scan_id: scan.outcome for scan in scans if scan.outcome.state.ended}
        ended: list[TaskRecord] = []
        for scan_id in sorted(outcomes.keys() & {task.scan_id for task in tasks}):
            ended += await self._store.end_tasks(db, scan_id, outcomes[scan_id], self._clock.now())
        await self._teller.tell(db, ended)
        return ended

    async def reopen(self, db: Connection, tasks: Sequence[TaskRecord], *, lane: int) -> None:
        """Opens failed tasks again and makes sure that their scans will be done; others stay as they are."""
        keys = {task.task_id: self._key(task.image, task.engine) for task in tasks}
        scans = await self._scheduler.ensure(
            db, [Wanted(key=keys[task.task_id], image=task.image, lane=lane) for task in tasks]
        )
        opened = []
        for task in tasks:
            scan = scans[keys[task.task_id].scan_id]
            if again := await self._runs.reopen_task(db, task.task_id, scan.scan_id, _waiting(scan)):
                opened.append(again)
        await self._teller.tell(db, opened)
        await self._end_with_scans(db, opened, scans.values())

    def _key(self, image: ImageAddress, engine: Engine) -> ScanKey:
        return self._scheduler.key(image.instance_id, image.digest, engine)

    async def _tell_tags(self, db: Connection, requests: Sequence[ScanRequested]) -> None:
        await self._store.lock_tags(db, [request.image for request in requests])
        ordered = sorted(requests, key=lambda each: (each.image.repo_id, each.image.tag, each.revision))
        await self._store.attach_tasks(db, [(each.image, each.revision) for each in ordered if not each.asked_at])
        doubted = False
        for each in ordered:
            if each.asked_at and each.run_id:
                doubted |= await self._store.meet_tag(db, each.image, each.asked_at)
            elif each.asked_at:
                await self._store.point_tag(db, each.image, each.revision, each.task_id, each.asked_at)
        if doubted:
            await self._store.announce_doubts(db)

    async def _drop(self, db: Connection, requests: Sequence[ScanRequested]) -> Mapping[str, TaskRecord]:
        """Saves tasks of runs that were called off meanwhile: they end before anything is done for them."""
        ids = sorted(each.task_id for each in requests)
        scan_ids = {each.task_id: self._key(each.image, each.engine).scan_id for each in requests}
        new = {each.task_id: _task(each, scan_ids[each.task_id], State.PENDING) for each in requests}
        await self._store.insert_tasks(db, [new[task_id] for task_id in ids])
        ended = await self._runs.cancel_tasks(db, ids, CANCELLED, self._clock.now())
        await self._teller.tell(db, ended)
        return await self._store.tasks_by_id(db, ids)  # another process may have been faster


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
        loan=request.loan,
    )
