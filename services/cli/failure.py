"""Failures as the command line tells them: one sentence on standard error, and an exit status."""

from __future__ import annotations

import enum
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import typer

from services.cli.output import Output, console_for, styled
from services.kernel.errors import Kind, ServiceError


class Exit(enum.IntEnum):
    """The exit statuses; pipelines rely on them."""

    DONE = 0
    GATE_FAILED = 1
    FAILED = 1
    USAGE = 2
    NOT_SCANNED = 3
    UNREACHABLE = 4
    UNDECIDED = 5


_FAULT = "Drydock failed: a fault of ours."
_REPORT = "Please report it with what stands above and how it came to it."
UNREACHABLE = frozenset({"SERVER_UNAVAILABLE", "DEADLINE_EXCEEDED"})
"""Reasons of a server that is not there, or does not answer."""


@contextmanager
def reported(output: Output, *, otherwise: Exit = Exit.FAILED) -> Iterator[None]:
    """Turns a failure inside the block into a message and the exit status.

    `otherwise` is the status of failures that are neither wrong usage nor an unreachable server.
    """
    try:
        yield
    except ServiceError as error:
        tell(output, error)
        raise typer.Exit(int(_status(error, otherwise))) from error
    except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
        raise  # whoever read our output has gone: `main` ends for it
    except Exception as error:
        # Left alone, a fault of ours would end a gate with 1, which speaks of the image (decision 0016).
        if output is Output.TABLE:
            traceback.print_exc()
        facts = {"error": type(error).__name__}
        tell(output, ServiceError(Kind.INTERNAL, "INTERNAL", _FAULT, hint=_REPORT, metadata=facts))
        raise typer.Exit(int(otherwise)) from error


@contextmanager
def flattened() -> Iterator[None]:
    """Turns the group that a task group raises into the one failure of ours that is in it, where there is one."""
    try:
        yield
    except BaseExceptionGroup as group:
        failure = _first(group)
        if failure is None:
            raise
        raise failure from group


def tell(output: Output, error: ServiceError) -> None:
    """Writes the failure to standard error: a sentence, or a JSON object with the key `error`."""
    if output is Output.JSON:
        facts = {
            "reason": error.reason,
            "message": error.message,
            "hint": error.hint,
            "field": error.field,
            "metadata": dict(error.metadata),
        }
        sys.stderr.write(msgspec.json.encode({"error": facts}).decode() + "\n")
        return
    line = styled("drydock: ", "red").append_text(styled(f"{error.sentence()} [{error.reason}]", ""))
    console_for(sys.stderr).print(line, soft_wrap=True)


def _first(group: BaseExceptionGroup[BaseException]) -> ServiceError | None:
    for error in group.exceptions:
        found = _first(error) if isinstance(error, BaseExceptionGroup) else error
        if isinstance(found, ServiceError):
            return found
    return None


def _status(error: ServiceError, otherwise: Exit) -> Exit:
    if error.kind is Kind.INVALID_ARGUMENT:
        return Exit.USAGE
    if error.reason in UNREACHABLE:
        return Exit.UNREACHABLE
    return otherwise
