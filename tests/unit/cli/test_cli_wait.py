"""Waiting for a task, and what its end means for the exit status."""

from __future__ import annotations

import pytest
import typer

from drydock.scanner.v1.scan_pb2 import STATE_COMPLETE, STATE_FAILED, STATE_RUNNING, State, Task
from services.cli.output import Output
from services.cli.wait import show_outcome, wait_for_end


def a_task(state: State.ValueType) -> Task:
    return Task(task_id="t-1", state=state, reason="LAYER_CORRUPT", message="Layer 2 is cut off.")


def nothing_judged() -> Task:
    message = "There are no advisories for rhel."
    return Task(task_id="t-1", state=STATE_COMPLETE, coverage="NONE", reason="NO_ADVISORIES", message=message)


async def test_waiting_ends_with_the_task() -> None:
    answers = iter([None, a_task(STATE_RUNNING), a_task(STATE_COMPLETE)])

    async def ask(_: float) -> Task | None:
        return next(answers)

    task = await wait_for_end(ask, 60)
    assert task is not None
    assert task.state == STATE_COMPLETE


async def test_waiting_ends_when_the_time_is_up_with_the_last_answer() -> None:
    async def ask(_: float) -> Task | None:
        return a_task(STATE_RUNNING)

    task = await wait_for_end(ask, 0)
    assert task is not None
    assert task.state == STATE_RUNNING


def outcome(task: Task | None, *, waited: bool) -> int:
    try:
        show_outcome(Output.JSON, task, waited=waited)
    except typer.Exit as end:
        return end.exit_code
    return 0


@pytest.mark.parametrize(
    ("task", "waited", "status"),
    [
        (a_task(STATE_COMPLETE), True, 0),
        (a_task(STATE_COMPLETE), False, 0),
        (nothing_judged(), True, 5),
        (nothing_judged(), False, 5),
        (a_task(STATE_RUNNING), False, 0),
        (a_task(STATE_RUNNING), True, 5),
        (None, True, 5),
        (a_task(STATE_FAILED), True, 3),
        (a_task(STATE_FAILED), False, 3),
    ],
)
def test_the_exit_status_tells_how_it_ended(task: Task | None, waited: bool, status: int) -> None:
    assert outcome(task, waited=waited) == status


def test_the_reason_of_a_failed_scan_is_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    outcome(a_task(STATE_FAILED), waited=True)
    captured = capsys.readouterr()
    assert '"state": "FAILED"' in captured.out
    assert "LAYER_CORRUPT" in captured.err


def test_an_image_of_which_nothing_could_be_judged_is_told_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    outcome(nothing_judged(), waited=True)
    captured = capsys.readouterr()
    assert '"state": "COMPLETE"' in captured.out
    assert "NO_ADVISORIES" in captured.err
    assert "There are no advisories for rhel." in captured.err
