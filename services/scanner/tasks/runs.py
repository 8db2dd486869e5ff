"""Runs as people see them: what rules asked for, held against what came of it here.

The two are read where they are and never sent after each other: a request that is still on its way, or that comes
twice, is counted right. Rules says how many tasks there will be, each has one id, and a run has ended when so many
have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from services.kernel.db import Pool
from services.kernel.errors import ServiceError, not_found
from services.kernel.model.severity import Severity
from services.rules.api import RuleRun, RunsApi
from services.rules.api import RunState as Asked
from services.scanner.api import ReasonCount, Run, RunState, State
from services.scanner.tasks.run_store import RunStore, TaskCounts


class Runs:
    """Reads runs."""

    def __init__(self, pool: Pool, store: RunStore, rules: RunsApi) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules

    async def get(self, run_id: str) -> Run:
        """Returns a run as it stands, or as it ended.

        Raises:
            ServiceError: SCAN_TASK_NOT_EXIST.
        """
        async with self._pool.acquire() as db:
            kept, sweeping = await self._store.standing(db, run_id)
        if kept:
            return kept
        # Rules first: what it has asked for by now may come in before we count, and never the other way round.
        asked = await self.asked(run_id)
        if asked is None:
            raise not_found(
                "SCAN_TASK_NOT_EXIST",
                f"There is no scan task and no run {run_id[:64]!r}.",
                hint="`drydock task list` shows those that are kept.",
            )
        async with self._pool.acquire() as db:
            counts = await self._store.counts(db, run_id)
            findings: Mapping[Severity, int] = {}
            # What is to be called off or tried again still looks as it ended.
            ended = not sweeping and has_ended(asked, counts)
            if ended:
                findings = await self._store.findings(db, run_id)
        if ended and asked.ended_at is None:
            # The keeper would tell rules in a moment; whoever reads that a run has ended may start the next now.
            await self._rules.end_run(run_id)
        return to_run(asked, counts, findings, ended=ended)

    async def asked(self, run_id: str) -> RuleRun | None:
        """Returns what rules has asked for; None when rules knows no such run."""
        try:
            return await self._rules.get_run(run_id)
        except ServiceError as error:
            if error.reason == "RUN_NOT_EXIST":
                return None
            raise


def has_ended(asked: RuleRun, counts: TaskCounts) -> bool:
    """Tells whether nothing more will come of a run by itself."""
    still = sum(count for state, count in counts.by_state.items() if not state.ended)
    return asked.state is not Asked.ASKING and not still and counts.total >= asked.requested


def to_run(asked: RuleRun, counts: TaskCounts, findings: Mapping[Severity, int], *, ended: bool) -> Run:
    """Returns the run; what was asked for and has not come in yet is pending."""
    by_state = {state: counts.by_state.get(state, 0) for state in State}
    images = max(asked.requested, counts.total)
    failures = _failures(asked, counts)
    state = _end(asked, by_state) if ended else RunState.RUNNING
    reason, message = asked.reason, asked.message
    if state is RunState.FAILED and not reason and failures:
        reason, message = failures[0].reason, failures[0].message
    return Run(
        run_id=asked.run_id,
        rule_id=asked.rule_id,
        instance_id=asked.instance_id,
        state=state,
        reason=reason,
        message=message,
        enumerated=asked.state is not Asked.ASKING,
        repositories=asked.repositories,
        tags=asked.tags,
        images=images,
        pending=by_state[State.PENDING] + images - counts.total,
        running=by_state[State.RUNNING],
        retrying=by_state[State.RETRYING],
        complete=by_state[State.COMPLETE],
        undecided=counts.undecided,
        failed=by_state[State.FAILED],
        unresolved=asked.unresolved,
        vanished=asked.vanished,
        failures=failures,
        findings=findings,
        created_at=asked.created_at,
        ended_at=asked.ended_at if ended else None,
    )


def _end(asked: RuleRun, by_state: Mapping[State, int]) -> RunState:
    if asked.state is Asked.CANCELLED:
        return RunState.CANCELLED
    if asked.state is Asked.FAILED:
        return RunState.FAILED
    if not by_state[State.FAILED] and not asked.unresolved:
        return RunState.COMPLETE
    return RunState.COMPLETE_WITH_FAILURES if by_state[State.COMPLETE] else RunState.FAILED


def _failures(asked: RuleRun, counts: TaskCounts) -> tuple[ReasonCount, ...]:
    """Why images failed and why others could not be asked for; what vanished is no failure."""
    notes = [note for note in asked.notes if note.reason != "IMAGE_NOT_FOUND"]
    sentences = {note.reason: note.message for note in reversed(notes)}
    sentences |= {one.reason: one.message for one in counts.reasons}
    often = Counter({one.reason: one.count for one in counts.reasons}) + Counter(note.reason for note in notes)
    return tuple(
        ReasonCount(reason=reason, count=count, message=sentences[reason]) for reason, count in often.most_common()
    )
