"""How failures end a command."""

from __future__ import annotations

import json

import pytest
import typer

from services.cli.failure import Exit, flattened, reported
from services.cli.output import Output
from services.kernel.errors import Kind, ServiceError, invalid


def failing(error: ServiceError, output: Output = Output.TABLE, otherwise: Exit = Exit.FAILED) -> int:
    with pytest.raises(typer.Exit) as caught, reported(output, otherwise=otherwise):
        raise error
    return caught.value.exit_code


@pytest.mark.parametrize(
    ("error", "otherwise", "status"),
    [
        (invalid("INVALID_REFERENCE", "No."), Exit.NOT_SCANNED, 2),
        (ServiceError(Kind.UNAVAILABLE, "SERVER_UNAVAILABLE", "No."), Exit.NOT_SCANNED, 4),
        (ServiceError(Kind.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", "No."), Exit.FAILED, 4),
        (ServiceError(Kind.UNAVAILABLE, "REGISTRY_UNREACHABLE", "No."), Exit.NOT_SCANNED, 3),
        (ServiceError(Kind.NOT_FOUND, "INSTANCE_NOT_EXIST", "No."), Exit.FAILED, 1),
    ],
)
def test_each_sort_of_failure_has_its_exit_status(error: ServiceError, otherwise: Exit, status: int) -> None:
    assert failing(error, otherwise=otherwise) == status


def test_a_failure_is_one_line_with_message_hint_and_reason(capsys: pytest.CaptureFixture[str]) -> None:
    failing(ServiceError(Kind.NOT_FOUND, "TAG_NOT_EXIST", "There is no tag x.", hint="Push it."))
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "drydock: There is no tag x. Push it. [TAG_NOT_EXIST]\n"


def test_a_failure_as_json_is_an_object_with_the_key_error(capsys: pytest.CaptureFixture[str]) -> None:
    failing(invalid("INVALID_NAME", "No name.", field="name", hint="Write one."), Output.JSON)
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "reason": "INVALID_NAME",
            "message": "No name.",
            "hint": "Write one.",
            "field": "name",
            "metadata": {},
        }
    }


def test_a_fault_of_ours_never_looks_like_a_gate_that_did_not_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as caught, reported(Output.JSON, otherwise=Exit.NOT_SCANNED):
        raise MemoryError
    assert caught.value.exit_code == 3
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["reason"], error["metadata"]) == ("INTERNAL", {"error": "MemoryError"})


@pytest.mark.parametrize("end", [typer.Exit(5), typer.BadParameter("no")])
def test_ends_that_are_meant_pass_through(end: Exception) -> None:
    with pytest.raises(type(end)) as caught, reported(Output.TABLE):
        raise end
    assert caught.value is end


def test_the_failure_of_ours_is_found_among_those_of_a_task_group() -> None:
    ours = invalid("X", "y")
    with pytest.raises(ServiceError) as caught, flattened():
        raise ExceptionGroup("tasks", [ValueError("other"), ExceptionGroup("inner", [ours])])
    assert caught.value is ours


def test_a_group_without_a_failure_of_ours_stays_as_it_is() -> None:
    with pytest.raises(ExceptionGroup), flattened():
        raise ExceptionGroup("tasks", [ValueError("other")])


def test_a_reader_that_went_away_is_no_failure_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BrokenPipeError), reported(Output.TABLE):
        raise BrokenPipeError
    assert capsys.readouterr().err == ""
