"""Waits for a task or a run to end: asks again with growing pauses, and shows what it waits for."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import typer

from services.cli.failure import Exit, tell
from services.cli.output import Output, console_for, show_record, to_record
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import Run, Task

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 2.0
_GROWTH = 1.5

T = TypeVar("T", "Task", "Run")


async def wait_for_end(ask: Callable[[], Awaitable[Task | None]], seconds: float) -> Task | None:
    """Asks until the task has ended or the time is up, and returns the last answer.

    `ask` returns None while there is no task yet. Cancelling ends only the waiting.
    """
    from drydock.scanner.v1.scan_pb2 import State

    return await _poll(
        ask, lambda task: task.state in (State.STATE_COMPLETE, State.STATE_FAILED), _task_stands, seconds
    )


async def wait_for_run(ask: Callable[[], Awaitable[Run | None]], seconds: float) -> Run | None:
    """Asks until the run has ended or the time is up, and returns the last answer."""
    from drydock.scanner.v1.scan_pb2 import RunState

    return await _poll(ask, lambda run: run.state != RunState.RUN_STATE_RUNNING, _run_stands, seconds)


async def _poll(
    ask: Callable[[], Awaitable[T | None]],
    ended: Callable[[T], bool],
    stands: Callable[[T], str],
    seconds: float,
) -> T | None:
    give_up = asyncio.get_running_loop().time() + seconds
    pause = FIRST_PAUSE_SECONDS
    with console_for(sys.stderr).status("waiting") as display:
        while True:
            answer = await ask()
            if answer is not None and ended(answer):
                return answer
            left = give_up - asyncio.get_running_loop().time()
            if left <= 0:
                return answer
            display.update("no task yet" if answer is None else stands(answer))
            await asyncio.sleep(min(pause, left))
            pause = min(pause * _GROWTH, LONGEST_PAUSE_SECONDS)


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
