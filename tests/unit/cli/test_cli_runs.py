"""What the end of a run means for the exit status: a pipeline that goes on at 0 may do so."""

from __future__ import annotations

import pytest
import typer

from drydock.scanner.v1 import scan_pb2 as pb
from services.cli.output import Output
from services.cli.run_outcome import show_run
from services.cli.wait import wait_for_run


def a_run(word: str, **counts: int) -> pb.Run:
    return pb.Run(run_id="r-1", state=pb.RunState.Value(f"RUN_STATE_{word}"), **counts)  # type: ignore[arg-type] # counts


def outcome(run: pb.Run, *, waited: bool = True) -> int:
    try:
        show_run(Output.JSON, run, waited=waited)
    except typer.Exit as end:
        return end.exit_code
    return 0


@pytest.mark.parametrize(
    ("run", "status", "reason"),
    [
        (a_run("COMPLETE", images=2, complete=2), 0, ""),
        (a_run("COMPLETE", images=2, complete=2, vanished=3), 0, ""),
        (a_run("COMPLETE", images=2, complete=2, undecided=1), 5, "NOTHING_JUDGED"),
        (a_run("COMPLETE"), 5, "NOTHING_MATCHED"),
        (a_run("COMPLETE_WITH_FAILURES", images=2, complete=1, failed=1), 3, "IMAGES_FAILED"),
        (a_run("COMPLETE_WITH_FAILURES", images=1, complete=1, unresolved=1), 3, "IMAGES_FAILED"),
        (a_run("FAILED", images=1, failed=1), 3, "IMAGES_FAILED"),
        (a_run("CANCELLED", images=1, failed=1), 5, "CANCELLED"),
        (a_run("RUNNING", images=1, pending=1), 5, "WAIT_TIMED_OUT"),
    ],
)
def test_only_a_run_of_judged_images_ends_well(
    run: pb.Run, status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(run) == status
    assert reason in capsys.readouterr().err
    assert outcome(run, waited=False) == 0


def test_why_the_registry_could_not_be_asked_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    run = pb.Run(state=pb.RUN_STATE_FAILED, reason="REGISTRY_CATALOG_REFUSED", message="It lists nothing.")
    assert outcome(run) == 3
    told = capsys.readouterr().err
    assert "REGISTRY_CATALOG_REFUSED" in told
    assert "It lists nothing." in told


async def test_waiting_ends_with_the_run() -> None:
    answers = iter([a_run("RUNNING"), a_run("COMPLETE_WITH_FAILURES")])

    async def ask(_: float) -> pb.Run:
        return next(answers)

    run = await wait_for_run(ask, 60)
    assert run is not None
    assert run.state == pb.RUN_STATE_COMPLETE_WITH_FAILURES
