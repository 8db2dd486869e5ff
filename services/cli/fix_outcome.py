"""How a fix goes and ends, in print and in the exit status."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from services.cli.failure import Exit, tell
from services.cli.fix_table import fix_parts, preview_parts, print_parts
from services.cli.output import Output, console_for, print_json, show_remark, to_record
from services.cli.wait import fix_stands
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.fixer.v1.fix_pb2 import FixPreview, FixTask
    from services.cli.connect import Client


class Follower:
    """Reads a fix as it stands; where nobody watches a terminal, each new stage is a line on standard error."""

    def __init__(self, client: Client, task_id: str, output: Output) -> None:
        self._client = client
        self._task_id = task_id
        self._plain = output is Output.TABLE and not sys.stderr.isatty()
        self._told = ""

    async def __call__(self, seconds: float) -> FixTask:
        """Returns the task; nobody waits on the server."""
        from drydock.fixer.v1.fixer_service_pb2 import GetFixTaskRequest

        del seconds
        task = (await self._client.fixer.GetFixTask(GetFixTaskRequest(task_id=self._task_id))).task
        stands = (task.state, task.stage)
        if self._plain and str(stands) != self._told:
            self._told = str(stands)
            show_remark(Output.TABLE, fix_stands(task))
        return task


def show_preview(output: Output, preview: FixPreview) -> None:
    """Prints what a fix would do."""
    if output is Output.JSON:
        print_json(to_record(preview))
        return
    print_parts(console_for(sys.stdout), preview_parts(preview))


def show_fix(output: Output, task: FixTask | None, *, waited: bool) -> None:
    """Prints a fix; once it was waited for, ends the process with the exit status that its state means."""
    _print(output, task)
    found = _trouble(task) if waited else None
    if found is not None:
        _end(output, *found)


def show_reverted(output: Output, task: FixTask | None, *, waited: bool) -> None:
    """Prints a fix that is to be put back; once it was waited for, the exit status says whether it was."""
    from drydock.fixer.v1.fix_pb2 import FixState

    _print(output, task)
    if not waited or (task is not None and task.state == FixState.FIX_STATE_REVERTED):
        return
    if task is None or task.state == FixState.FIX_STATE_REVERTING:
        _end(output, *_time_is_up(task))
    else:
        _end(output, Exit.FAILED, _found(task.revert_reason, task.revert_message or "It was not put back."))


def _print(output: Output, task: FixTask | None) -> None:
    if task is None:
        return
    if output is Output.JSON:
        print_json(to_record(task))
        return
    print_parts(console_for(sys.stdout), fix_parts(task))


def _trouble(task: FixTask | None) -> tuple[Exit, ServiceError] | None:
    from drydock.fixer.v1.fix_pb2 import FixState

    if task is None:
        return _time_is_up(task)
    match task.state:
        case FixState.FIX_STATE_SUCCEEDED:
            return None
        case FixState.FIX_STATE_PARTIAL:
            return Exit.GATE_FAILED, _found("FINDINGS_LEFT", task.message or "Some findings are left.")
        case FixState.FIX_STATE_FAILED:
            return Exit.NOT_SCANNED, _found(task.reason, task.message or "The fix failed.", task.hint)
        case FixState.FIX_STATE_REVERTED:
            return Exit.GATE_FAILED, _found("REVERTED", "The fix was put back.")
        case _:
            return _time_is_up(task)


def _time_is_up(task: FixTask | None) -> tuple[Exit, ServiceError]:
    which = f"Fix {task.task_id}" if task is not None else "The fix"
    message = f"{which} has not ended in the time allowed."
    hint = "It goes on; ask again with `drydock fix show`, or wait longer."
    return Exit.UNDECIDED, ServiceError(Kind.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT", message, hint=hint)


def _end(output: Output, status: Exit, trouble: ServiceError) -> None:
    tell(output, trouble)
    raise typer.Exit(int(status))


def _found(reason: str, message: str, hint: str = "") -> ServiceError:
    return ServiceError(Kind.FAILED_PRECONDITION, reason, message, hint=hint)
