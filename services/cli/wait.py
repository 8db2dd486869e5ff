"""Waits for a task or a run to end, and shows what it waits for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import typer

from services.cli.failure import UNREACHABLE, Exit, tell
from services.cli.output import Output, console_for, show_record, to_record
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.fixer.v1.fix_pb2 import FixTask
    from drydock.scanner.v1.scan_pb2 import Run, Task
    from drydock.scanner.v1.scanner_service_pb2 import WaitScanVerdictRequest
    from services.cli.connect import Client

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
_GROWTH = 1.5
_LONGEST_CALL_SECONDS = 60.0
_SHORTEST_CALL_SECONDS = 1.0
_NOT_YET = frozenset({"IMAGE_NOT_SCANNED", "REPO_NOT_EXIST", "TAG_NOT_EXIST"})
"""The push may be on the way."""

T = TypeVar("T", "Task", "Run", "FixTask")
Ask: TypeAlias = "Callable[[float], Awaitable[T | None]]"
"""Asks how it stands, and lets the server wait for its end as many seconds; None: there is nothing yet."""


async def wait_for_end(ask: Ask[Task], seconds: float) -> Task | None:
    """Asks until the task has ended or the time is up, and returns the last answer."""
    return await _poll(ask, has_ended, _task_stands, seconds)


async def wait_for_run(ask: Ask[Run], seconds: float) -> Run | None:
    """Asks until the run has ended or the time is up, and returns the last answer."""
    from drydock.scanner.v1.scan_pb2 import RunState

    return await _poll(ask, lambda run: run.state != RunState.RUN_STATE_RUNNING, _run_stands, seconds)


async def wait_for_fix(ask: Ask[FixTask], seconds: float) -> FixTask | None:
    """Asks until the fix, or its putting back, has ended or the time is up, and returns the last answer."""
    return await _poll(ask, fix_has_ended, fix_stands, seconds)


def fix_has_ended(task: FixTask) -> bool:
    """Tells whether nothing more will happen."""
    from drydock.fixer.v1.fix_pb2 import FixState

    ended = (FixState.FIX_STATE_SUCCEEDED, FixState.FIX_STATE_PARTIAL, FixState.FIX_STATE_FAILED)
    return task.state in (*ended, FixState.FIX_STATE_REVERTED)


def fix_stands(task: FixTask) -> str:
    """Says how far a fix is."""
    record = to_record(task)
    counted = f" {task.progress_done}/{task.progress_total}" if task.progress_total else ""
    parts = (record["state"], f"{record['stage']}{counted}" if task.stage else "", task.progress_message)
    return f"fix {task.task_id}: {', '.join(str(part) for part in parts if part)}"


def has_ended(task: Task) -> bool:
    """Tells whether nothing more will happen."""
    from drydock.scanner.v1.scan_pb2 import State

    return task.state in (State.STATE_COMPLETE, State.STATE_FAILED)


class ServerWait:
    """Has the server wait for a task; an `Ask`. Once it has answered, it may go for a while."""

    def __init__(self, client: Client, request: WaitScanVerdictRequest) -> None:
        self._client = client
        self._request = request
        self.reached = False
        """Whether it has answered anything yet."""

    async def __call__(self, seconds: float) -> Task | None:
        """Returns the task as it stands; None where there is none, or the server does not answer now."""
        from services.kernel.rpc.client import translated_errors

        timeout = min(max(seconds, _SHORTEST_CALL_SECONDS), _LONGEST_CALL_SECONDS)
        try:
            with translated_errors():
                answer = await self._client.scanner.WaitScanVerdict(self._request, timeout=timeout)
        except ServiceError as error:
            away = error.reason in UNREACHABLE and not self.reached
            passing = error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED) and not away
            if error.reason not in _NOT_YET and not passing:
                raise
            self.reached = True
            return None
        self.reached = True
        return answer.task


async def _poll(ask: Ask[T], ended: Callable[[T], bool], stands: Callable[[T], str], seconds: float) -> T | None:
    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    pause, last = FIRST_PAUSE_SECONDS, None
    with console_for(sys.stderr).status("waiting") as display:
        while True:
            asked_at = loop.time()
            answer = await ask(min(pause, max(give_up - asked_at, 0.0)))
            if answer is not None and ended(answer):
                return answer
            left = give_up - loop.time()
            last = last if answer is None else answer
            if left <= 0:
                return last
            display.update("no task yet" if answer is None else stands(answer))
            # Whatever of the pause the server has not waited.
            await asyncio.sleep(min(max(asked_at + min(pause, LONGEST_PAUSE_SECONDS) - loop.time(), 0.0), left))
            pause = min(pause * _GROWTH, _LONGEST_CALL_SECONDS)


def _task_stands(task: Task) -> str:
    return f"task {task.task_id}: {to_record(task)['state']}"


def _run_stands(run: Run) -> str:
    ended = run.complete + run.failed
    more = "" if run.enumerated else " so far"
    return f"run {run.run_id}: {ended:,} of {run.images:,} images{more}, {run.failed + run.unresolved:,} failed"


def show_outcome(output: Output, task: Task | None, *, waited: bool) -> None:
    """Prints a task and ends the process with the exit status that its state means."""
    from drydock.scanner.v1.scan_pb2 import State
    from services.kernel.model.report import Coverage

    if task is not None:
        show_record(output, to_record(task))
    if task is not None and task.state == State.STATE_FAILED:
        failure = ServiceError(Kind.FAILED_PRECONDITION, task.reason, task.message or "The scan failed.")
        tell(output, failure)
        raise typer.Exit(int(Exit.NOT_SCANNED))
    if task is not None and task.state == State.STATE_COMPLETE and task.coverage == Coverage.NONE.value:
        tell(output, _nothing_judged(task))
        raise typer.Exit(int(Exit.UNDECIDED))
    if waited and (task is None or task.state != State.STATE_COMPLETE):
        tell(output, _time_is_up(task))
        raise typer.Exit(int(Exit.UNDECIDED))


def _nothing_judged(task: Task) -> ServiceError:
    message = "Nothing in the image could be judged: that nothing was found means nothing."
    return ServiceError(Kind.FAILED_PRECONDITION, task.reason, message, hint=task.message)


def _time_is_up(task: Task | None) -> ServiceError:
    if task is None:
        message = "Nothing has started to scan this image in the time allowed."
        hint = "Check that a rule matches its tag, or start a scan with `drydock task create`."
    else:
        message = f"Task {task.task_id} has not ended in the time allowed."
        hint = "It goes on; ask again, or wait longer."
    return ServiceError(Kind.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT", message, hint=hint)
