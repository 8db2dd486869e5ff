"""Control: calling off and trying again, of a task at once, of a run through its keeper."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError
from services.rules.api import RunsApi
from services.scanner.api import Run, RunState, State
from services.scanner.lanes import LANE_PERSON
from services.scanner.records import TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.run_store import CANCELLED, RunStore, Sweep
from services.scanner.tasks.runs import Runs
from services.scanner.tasks.tell import TaskTeller

log = structlog.get_logger()


class Control:
    """Changes what was begun."""

    def __init__(
        self,
        *,
        pool: Pool,
        tasks: ScannerStore,
        store: RunStore,
        runs: Runs,
        rules: RunsApi,
        intake: Intake,
        teller: TaskTeller,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._tasks = tasks
        self._store = store
        self._runs = runs
        self._rules = rules
        self._intake = intake
        self._teller = teller
        self._clock = clock

    async def cancel_task(self, task_id: str) -> None:
        """Ends a task that is open."""
        async with self._pool.acquire() as db, db.transaction():
            task = await self._tasks.task(db, task_id)
            if task and task.ended_at is None:
                await self.end(db, {task_id: task.scan_id})

    async def end(self, db: Connection, scans: dict[str, str]) -> None:
        """Ends open tasks, given with their scans, and what is done for nobody else."""
        at = self._clock.now()
        locked = await self._store.lock_scans(db, list(scans.values()))
        ended = await self._store.cancel_tasks(db, list(scans), CANCELLED, at)
        await self._teller.tell(db, ended)
        await self._store.drop_scans(db, locked, CANCELLED, at)
        log.info("tasks.cancelled", count=len(ended))

    async def rerun_task(self, task: TaskRecord) -> None:
        """Opens a failed task again; one that is open stays as it is.

        Raises:
            ServiceError: TASK_NOT_FAILED.
        """
        if task.outcome.state is State.COMPLETE:
            raise _not_failed(f"Task {task.task_id}")
        async with self._pool.acquire() as db, db.transaction():
            if task.run_id:
                await self._store.reopen_run(db, task.run_id)
            await self._intake.reopen(db, [task], lane=LANE_PERSON)

    async def cancel_run(self, run_id: str) -> Run:
        """Calls a run off: no more is asked for, what comes in ends at once, and what is here ends soon."""
        run = await self._runs.get(run_id)
        if run.state.ended:
            return run
        # Rules first: whoever sums the run up then knows that it did not end by itself.
        await self._rules.cancel_run(run_id)
        async with self._pool.acquire() as db, db.transaction():
            await self._store.change_run(db, run_id, Sweep.CANCEL, self._clock.now())
        return await self._runs.get(run_id)

    async def rerun_run(self, run_id: str) -> Run:
        """Tries again what failed in a run, and what it could not ask for.

        Raises:
            ServiceError: TASK_NOT_FAILED, RUN_UNDER_WAY.
        """
        if (await self._runs.get(run_id)).state is RunState.COMPLETE:
            raise _not_failed(f"Run {run_id}")
        await self._rules.resume_run(run_id)
        async with self._pool.acquire() as db, db.transaction():
            await self._store.change_run(db, run_id, Sweep.RERUN, self._clock.now())
        return await self._runs.get(run_id)

    async def reopen(self, db: Connection, tasks: Sequence[TaskRecord], lane: int) -> None:
        """Opens failed tasks of a run again."""
        await self._intake.reopen(db, tasks, lane=lane)


def _not_failed(what: str) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "TASK_NOT_FAILED",
        f"{what} is COMPLETE: there is nothing to try again.",
        hint="Start a new one.",
    )
