"""The keeper of runs: does with all tasks of a run what was asked for, and sees when a run has ended."""

from __future__ import annotations

import asyncio

import structlog

from services.kernel.db import Pool, is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.wakeup import Wakeups, wait_any
from services.rules.api import RuleRun, RunsApi
from services.scanner.lanes import LANE_BULK
from services.scanner.tasks.control import Control
from services.scanner.tasks.run_store import LookedAtRun, RunStore, Sweep
from services.scanner.tasks.runs import Runs, has_ended, to_run

log = structlog.get_logger()

_CHANNEL = "drydock_scanner_runs"
_LOOK_SECONDS = 1.0
_PAUSE_SECONDS = 2.0
"""Between two looks at the same run."""
_TASKS, _RUNS = 200, 20
"""In one transaction, at one look."""
_AWAY = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})


class RunKeeper:
    """Works in every process; rows and their locks keep the copies apart."""

    def __init__(
        self, *, pool: Pool, store: RunStore, runs: Runs, control: Control, rules: RunsApi, wakeups: Wakeups
    ) -> None:
        self._pool = pool
        self._store = store
        self._runs = runs
        self._control = control
        self._rules = rules
        self._wakeups = wakeups

    async def run(self, stopping: asyncio.Event) -> None:
        """Works until `stopping`."""
        async with self._wakeups.subscribe(_CHANNEL) as news:
            while not stopping.is_set():
                news.clear()
                try:
                    while await self.sweep() and not stopping.is_set():
                        pass
                    await self.look()
                except ServiceError as error:
                    if error.kind not in _AWAY:
                        raise
                    log.warning("runs.delayed", reason=error.reason)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("runs.delayed", error=type(error).__name__)
                await wait_any((news, stopping), _LOOK_SECONDS)

    async def sweep(self) -> bool:
        """Calls off, or opens again, some tasks of a run; returns whether there was a run to do so with."""
        async with self._pool.acquire() as db, db.transaction():
            run = await self._store.run_to_sweep(db)
            if run is None:
                return False
            if run.sweep is Sweep.CANCEL:
                scans = dict(await self._store.open_tasks(db, run.run_id, _TASKS))
                if scans:
                    await self._control.end(db, scans)
                    return True
            else:
                tasks = await self._store.failed_tasks(db, run.run_id, run.before, _TASKS)
                if tasks:
                    await self._control.reopen(db, tasks, LANE_BULK)
                    return True
            await self._store.swept(db, run.run_id)
            log.info("run.swept", run_id=run.run_id, sweep=run.sweep.value)
        return True

    async def look(self) -> None:
        """Sees which runs have ended, tells rules, and keeps how they ended until rules forgets them.

        A run that cannot be judged stops no other.
        """
        async with self._pool.acquire() as db:
            runs = await self._store.runs_to_look_at(db, _PAUSE_SECONDS, _RUNS)
        for run in runs:
            try:
                await self._judge(run)
            except Exception as error:
                if is_outage(error) or (isinstance(error, ServiceError) and error.kind is Kind.UNAVAILABLE):
                    raise  # nobody can be asked now: of the other runs no more than of this one
                log.error("run.broke", run_id=run.run_id, exc_info=error)  # it is due again by itself

    async def _judge(self, run: LookedAtRun) -> None:
        async with self._pool.acquire() as db:
            if not run.ended and await self._store.is_open(db, run.run_id):
                return
        asked = await self._runs.asked(run.run_id)
        if asked is None:  # it is too old, or its instance was deleted
            await self._forget(run.run_id)
        elif not run.ended:
            await self._end(asked, run.changes)

    async def _end(self, asked: RuleRun, changes: int) -> None:
        run_id = asked.run_id
        async with self._pool.acquire() as db:
            counts = await self._store.counts(db, run_id)
            if not has_ended(asked, counts):
                return
            findings = await self._store.findings(db, run_id)
        # Rules first: should we die in between, the run is looked at again.
        try:
            await self._rules.end_run(run_id)
        except ServiceError as error:
            if error.reason != "RUN_NOT_EXIST":
                raise
            await self._forget(run_id)  # its instance was deleted since we asked
            return
        asked = await self._runs.asked(run_id) or asked
        run = to_run(asked, counts, findings, ended=True)
        async with self._pool.acquire() as db:
            await self._store.sum_up(db, run, changes)
        log.info("run.ended", run_id=run_id, state=run.state.value, images=run.images, failed=run.failed)

    async def _forget(self, run_id: str) -> None:
        async with self._pool.acquire() as db:
            await self._store.forget_run(db, run_id)
