"""The SQL of runs, of calling off and of trying again; transactions belong to the callers."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from services.kernel.db import Connection
from services.kernel.model.severity import Severity
from services.kernel.reasons import Reason
from services.kernel.sql import load_queries
from services.scanner.api import ReasonCount, Run, State
from services.scanner.records import Outcome, TaskRecord
from services.scanner.rows import to_task

CANCELLED = Outcome(state=State.FAILED, reason=Reason.CANCELLED.code, message="It was called off.")
_Q = load_queries("services.scanner")


class Sweep(enum.Enum):
    """What is to be done with the tasks of a run."""

    CANCEL = "CANCEL"
    RERUN = "RERUN"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SweptRun:
    """A run with whose tasks something is to be done."""

    run_id: str
    sweep: Sweep
    before: datetime
    """A task that ended later is not tried again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LookedAtRun:
    """A run whose keeper sees after it."""

    run_id: str
    changes: int
    """What is summed up at this number counts until the next change."""
    ended: bool
    """Its summary is kept, for as long as rules knows the run."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TaskCounts:
    """The tasks of a run that are here."""

    by_state: Mapping[State, int]
    undecided: int
    reasons: tuple[ReasonCount, ...]
    """Of the failed ones."""

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by_state.values())


class RunStore:
    """Reads and writes `scanner.run` and the tasks of runs."""

    # runs

    async def hold_runs(self, db: Connection, run_ids: Sequence[str]) -> frozenset[str]:
        """Lets nobody call runs off until the transaction ends; returns those that were called off before."""
        held = await db.fetch(_Q["hold_runs"], list(run_ids))
        if len(held) < len(run_ids):
            await db.execute(_Q["enter_runs"], list(run_ids))
            held = await db.fetch(_Q["hold_runs"], list(run_ids))
        return frozenset(str(row["run_id"]) for row in held if row["cancelled"])

    async def change_run(self, db: Connection, run_id: str, sweep: Sweep, before: datetime) -> None:
        """Calls a run off or has it tried again; keepers do it with its tasks."""
        await db.execute(_Q["change_run"], run_id, sweep is Sweep.CANCEL, sweep.value, before)
        await db.execute(_Q["announce_sweep"])

    async def reopen_run(self, db: Connection, run_id: str) -> None:
        """Forgets how a run ended."""
        await db.execute(_Q["reopen_run"], run_id)

    async def run_to_sweep(self, db: Connection) -> SweptRun | None:
        """Returns a run with whose tasks something is to be done, held until the transaction ends."""
        row = await db.fetchrow(_Q["run_to_sweep"])
        if row is None:
            return None
        return SweptRun(run_id=str(row["run_id"]), sweep=Sweep(row["sweep"]), before=row["sweep_before"])

    async def swept(self, db: Connection, run_id: str) -> None:
        """Nothing is left to be done with the tasks of a run."""
        await db.execute(_Q["swept"], run_id)

    async def runs_to_look_at(self, db: Connection, pause_seconds: float, limit: int) -> Sequence[LookedAtRun]:
        """Returns runs that may have ended or been forgotten; open ones are due again after the pause."""
        rows = await db.fetch(_Q["runs_to_look_at"], pause_seconds, limit)
        return [LookedAtRun(run_id=str(row["run_id"]), changes=row["changes"], ended=row["ended"]) for row in rows]

    async def sum_up(self, db: Connection, run: Run, changes: int) -> None:
        """Keeps how a run ended, unless it was changed since."""
        await db.execute(_Q["sum_up"], run.run_id, changes, msgspec.json.encode(run).decode())

    async def standing(self, db: Connection, run_id: str) -> tuple[Run | None, bool]:
        """Returns how a run ended, None while it is open, and whether something is to be done with its tasks."""
        row = await db.fetchrow(_Q["run_standing"], run_id)
        if row is None:
            return None, False
        return msgspec.json.decode(row["summary"], type=Run) if row["summary"] else None, row["sweeping"]

    async def forget_run(self, db: Connection, run_id: str) -> None:
        """Forgets a run; its tasks stay."""
        await db.execute(_Q["forget_run"], run_id)

    async def is_open(self, db: Connection, run_id: str) -> bool:
        """Tells whether a task of a run has not ended."""
        return bool(await db.fetchval(_Q["run_is_open"], run_id))

    async def counts(self, db: Connection, run_id: str) -> TaskCounts:
        """Counts the tasks of a run."""
        rows = await db.fetch(_Q["run_counts"], run_id)
        reasons = await db.fetch(_Q["run_reasons"], run_id)
        return TaskCounts(
            by_state={State(row["state"]): row["tasks"] for row in rows},
            undecided=sum(row["undecided"] for row in rows),
            reasons=tuple(
                ReasonCount(reason=row["reason"], count=row["tasks"], message=row["message"]) for row in reasons
            ),
        )

    async def findings(self, db: Connection, run_id: str) -> Mapping[Severity, int]:
        """Sums up the findings of the complete tasks of a run."""
        found = {row["severity"]: row["findings"] for row in await db.fetch(_Q["run_findings"], run_id)}
        return {severity: found.get(severity.value, 0) for severity in Severity}

    async def open_tasks(self, db: Connection, run_id: str, limit: int) -> Mapping[str, str]:
        """Returns some open tasks of a run, each with its scan."""
        rows = await db.fetch(_Q["open_tasks_of_run"], run_id, limit)
        return {str(row["task_id"]): str(row["scan_id"]) for row in rows}

    async def failed_tasks(
        self, db: Connection, run_id: str, before: datetime, limit: int
    ) -> Sequence[TaskRecord]:
        """Returns some tasks of a run that failed before a moment."""
        return [to_task(row) for row in await db.fetch(_Q["failed_tasks_of_run"], run_id, before, limit)]

    # tasks and their scans

    async def lock_scans(self, db: Connection, scan_ids: Sequence[str]) -> Sequence[str]:
        """Locks scans and their platforms, these first, as whoever ends one does; returns all of them."""
        parts = {str(row["scan_id"]) for row in await db.fetch(_Q["parts_of_scans"], list(scan_ids))}
        for ids in (parts, set(scan_ids) - parts):
            await db.fetch(_Q["lock_scans"], list(ids))
        return sorted(parts | set(scan_ids))

    async def cancel_tasks(
        self, db: Connection, task_ids: Sequence[str], outcome: Outcome, at: datetime
    ) -> Sequence[TaskRecord]:
        """Ends open tasks and returns them as they are now."""
        rows = await db.fetch(_Q["cancel_tasks"], list(task_ids), outcome.reason, outcome.message, at)
        return [to_task(row) for row in rows]

    async def drop_scans(self, db: Connection, scan_ids: Sequence[str], outcome: Outcome, at: datetime) -> None:
        """Ends those of the scans, which the caller has locked, that nobody is at and nobody waits for."""
        await db.execute(_Q["drop_work"], list(scan_ids))
        await db.execute(_Q["cancel_scans"], list(scan_ids), outcome.reason, outcome.message, at)

    async def reopen_task(self, db: Connection, task_id: str, scan_id: str, state: State) -> TaskRecord | None:
        """Opens a failed task for a scan that the caller has locked; None when it has not failed."""
        row = await db.fetchrow(_Q["reopen_task"], task_id, scan_id, state.value)
        return to_task(row) if row else None
