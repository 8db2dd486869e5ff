"""How a run of a rule ended, in print and in the exit status."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from services.cli.failure import Exit, tell
from services.cli.output import Output, show_record, to_record
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import Run


def show_run(output: Output, run: Run, *, waited: bool) -> None:
    """Prints a run; once it was waited for, ends the process with the exit status that its state means.

    A pipeline that goes on at 0 may do so: every image of the run is COMPLETE, and could be judged.
    """
    show_record(output, to_record(run))
    found = _trouble(run) if waited else None
    if found is not None:
        status, trouble = found
        tell(output, trouble)
        raise typer.Exit(int(status))


def _trouble(run: Run) -> tuple[Exit, ServiceError] | None:
    from drydock.scanner.v1.scan_pb2 import RunState

    if run.state == RunState.RUN_STATE_RUNNING:
        message = f"Run {run.run_id} has not ended in the time allowed."
        error = ServiceError(Kind.DEADLINE_EXCEEDED, "WAIT_TIMED_OUT", message, hint="It goes on; ask again.")
        return Exit.UNDECIDED, error
    if run.state == RunState.RUN_STATE_CANCELLED:
        return Exit.UNDECIDED, _found("CANCELLED", f"Run {run.run_id} was called off.")
    if run.state == RunState.RUN_STATE_COMPLETE:
        doubt = _doubt(run)
        return (Exit.UNDECIDED, doubt) if doubt else None
    if run.state == RunState.RUN_STATE_FAILED and run.reason:
        return Exit.NOT_SCANNED, _found(run.reason, run.message)
    count, images = run.failed + run.unresolved, run.images + run.unresolved
    message = f"{count:,} of {images:,} images could not be scanned."
    hint = f"`drydock task list --run {run.run_id} --state failed` shows them; `drydock task rerun` tries again."
    return Exit.NOT_SCANNED, _found("IMAGES_FAILED", message, hint)


def _doubt(run: Run) -> ServiceError | None:
    """Returns why a complete run says nothing of some image, or of any."""
    if not run.images:
        return _found("NOTHING_MATCHED", "No tag in the registry matches the rule: nothing was scanned.")
    if run.undecided:
        message = f"In {run.undecided:,} of {run.images:,} images nothing could be judged."
        return _found("NOTHING_JUDGED", message, f"`drydock task list --run {run.run_id}` shows their coverage.")
    return None


def _found(reason: str, message: str, hint: str = "") -> ServiceError:
    return ServiceError(Kind.FAILED_PRECONDITION, reason, message, hint=hint)
