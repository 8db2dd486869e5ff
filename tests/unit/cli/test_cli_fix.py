"""Fixes in print: readable in 80 columns, and with an exit status that a pipeline may go by."""

from __future__ import annotations

import io

import pytest
import typer
from rich.console import Console

from drydock.fixer.v1 import fix_pb2 as pb
from services.cli.fix_outcome import show_fix, show_preview, show_reverted
from services.cli.fix_table import fix_parts, preview_parts, print_parts
from services.cli.output import Output
from services.cli.wait import fix_stands, wait_for_fix

DIGEST = "sha256:" + "d" * 64


def a_fate(identifier: str, severity: str, **fields: object) -> pb.FindingFate:
    return pb.FindingFate(id=identifier, severity=severity, version="3.0.11-1~deb12u1", **fields)  # type: ignore[arg-type] # its fields


PLATFORM = pb.PlatformFix(
    platform="linux/amd64",
    digest=DIGEST,
    system="dpkg",
    packages=[
        pb.FixedPackage(
            name="openssl",
            source="openssl",
            from_version="3.0.11-1~deb12u1",
            to_version="3.0.15-1~deb12u1",
            finding_ids=[f"CVE-2024-{n}" for n in range(5)],
        ),
        pb.FixedPackage(
            name="libssl3", source="openssl", from_version="3.0.11-1~deb12u1", to_version="3.0.15-1~deb12u1"
        ),
    ],
    findings=[
        a_fate("CVE-2024-0", "HIGH", package="openssl", verdict=pb.FIX_VERDICT_FIXED),
        a_fate(
            "CVE-2023-1",
            "LOW",
            package="zlib1g",
            verdict=pb.FIX_VERDICT_NOT_FIXABLE,
            reason="NO_FIXED_VERSION",
            message="No version without it is known.",
        ),
        a_fate(
            "CVE-2023-2",
            "CRITICAL",
            package="systemd",
            verdict=pb.FIX_VERDICT_NOT_FIXABLE,
            reason="NEEDS_REBUILD",
            message="Its script postinst does what files alone do not.",
        ),
    ],
    notes=["Two conffiles were kept as they are."],
)
LEFT = pb.PlatformFix(
    platform="linux/s390x", digest=DIGEST, left_reason="SYSTEM_UNKNOWN", message="No package manager that we know."
)


def a_task(word: str, **fields: object) -> pb.FixTask:
    task = pb.FixTask(
        task_id="6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a56",
        namespace="team",
        repository="app",
        tag="1.0",
        digest=DIGEST,
        state=pb.FixState.Value(f"FIX_STATE_{word}"),
        **fields,  # type: ignore[arg-type] # the test names fields of it
    )
    return task


def lines(parts: object, width: int = 80) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False, markup=False, emoji=False)
    print_parts(console, parts)  # type: ignore[arg-type] # what is printed one under the other
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_preview_says_what_goes_where_and_why_the_rest_stays_in_80_columns() -> None:
    preview = pb.FixPreview(
        namespace="team",
        repository="app",
        tag="1.0",
        digest=DIGEST,
        fixed_tag="1.0_fixd",
        platforms=[PLATFORM, LEFT],
    )
    told = lines(preview_parts(preview))
    assert max(len(line) for line in told if DIGEST not in line) <= 80
    text = " ".join(" ".join(told).split())
    for words in (
        "linux/amd64 dpkg sha256:dddddddddddd",
        "openssl 3.0.11-1~deb12u1 3.0.15-1~deb12u1 CVE-2024-0",
        "and 2 more",
        "goes along with",
        "CVE-2023-2 CRITICAL systemd",
        "NEEDS_REBUILD: Its",
        "linux/s390x",
        "SYSTEM_UNKNOWN: No package manager that we know.",
        "team/app:1.0_fixd",
        "1 to be fixed, 2 not fixable",
        "Two conffiles were kept",
    ):
        assert words in text, words
    assert text.index("CVE-2023-2") < text.index("CVE-2023-1"), "the worst first"


def test_findings_that_stay_for_the_same_reason_are_one_row() -> None:
    findings = [
        a_fate(
            f"CVE-2023-{number:04}",
            "CRITICAL" if number == 40 else "LOW",
            package="zlib1g",
            verdict=pb.FIX_VERDICT_NOT_FIXABLE,
            reason="NO_FIXED_VERSION",
            message="No version without it is known.",
        )
        for number in range(50)
    ]
    platform = pb.PlatformFix(platform="linux/amd64", digest=DIGEST, system="dpkg", findings=findings)
    told = lines(preview_parts(pb.FixPreview(tag="1.0", digest=DIGEST, platforms=[platform])), width=160)
    assert len(told) < 20
    text = " ".join(" ".join(told).split())
    assert text.count("NO_FIXED_VERSION") == 1
    assert "STAYS WORST PACKAGE WHY CVE-2023-0040, CVE-2023-0000" in text, "the worst is named first"
    assert "and 47 more CRITICAL zlib1g" in text
    assert "50 not fixable" in text


def test_a_task_says_where_it_stands_and_what_became_of_everything() -> None:
    task = a_task(
        "PARTIAL",
        stage=pb.FIX_STAGE_PROVING,
        message="1 of 3 findings are fixed, 2 left.",
        fixed_tag="1.0_fixd",
        fixed_digest=DIGEST,
        backup_tag="1.0_backup",
        fixed=1,
        not_fixable=2,
        new_findings=1,
        created_by="ops",
        platforms=[PLATFORM],
        attached={"vex": DIGEST},
    )
    told = lines(fix_parts(task))
    assert max(len(line) for line in told if DIGEST not in line) <= 80
    text = " ".join(" ".join(told).split())
    for words in ("state PARTIAL", "backup 1.0_backup", "1 fixed, 2 not fixable", "LEFT", "asked by ops", "new 1"):
        assert words in text, words
    assert "reason" not in text
    running = a_task(
        "RUNNING", stage=pb.FIX_STAGE_FETCHING, progress_message="fetching", progress_done=3, progress_total=9
    )
    assert "progress   fetching (3 of 9)" in lines(fix_parts(running))
    assert fix_stands(running) == f"fix {running.task_id}: RUNNING, FETCHING 3/9, fetching"


def status_of(show: object, task: pb.FixTask | None, *, waited: bool = True) -> int:
    try:
        show(Output.JSON, task, waited=waited)  # type: ignore[operator] # show_fix or show_reverted
    except typer.Exit as end:
        return end.exit_code
    return 0


@pytest.mark.parametrize(
    ("task", "status", "reason"),
    [
        (a_task("SUCCEEDED"), 0, ""),
        (a_task("PARTIAL", message="2 left."), 1, "FINDINGS_LEFT"),
        (a_task("FAILED", reason="PACKAGE_TAMPERED", message="No."), 3, "PACKAGE_TAMPERED"),
        (a_task("REVERTED"), 1, "REVERTED"),
        (a_task("RUNNING"), 5, "WAIT_TIMED_OUT"),
        (None, 5, "WAIT_TIMED_OUT"),
    ],
)
def test_the_exit_status_says_how_a_fix_ended(
    task: pb.FixTask | None, status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(show_fix, task) == status
    assert reason in capsys.readouterr().err
    assert status_of(show_fix, task, waited=False) == 0


@pytest.mark.parametrize(
    ("task", "status", "reason"),
    [
        (a_task("REVERTED"), 0, ""),
        (a_task("SUCCEEDED", revert_reason="TAG_MOVED", revert_message="It moved."), 1, "TAG_MOVED"),
        (a_task("REVERTING"), 5, "WAIT_TIMED_OUT"),
    ],
)
def test_the_exit_status_says_whether_a_fix_was_put_back(
    task: pb.FixTask, status: int, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(show_reverted, task) == status
    assert reason in capsys.readouterr().err


async def test_waiting_ends_with_the_fix() -> None:
    answers = iter([a_task("PENDING"), a_task("RUNNING"), a_task("PARTIAL")])

    async def ask(_: float) -> pb.FixTask:
        return next(answers)

    task = await wait_for_fix(ask, 60)
    assert task is not None
    assert task.state == pb.FIX_STATE_PARTIAL


def test_as_json_a_preview_has_the_words_of_the_protos(capsys: pytest.CaptureFixture[str]) -> None:
    show_preview(Output.JSON, pb.FixPreview(tag="1.0", platforms=[PLATFORM]))
    told = capsys.readouterr().out
    assert '"verdict": "NOT_FIXABLE"' in told
    assert '"to_version": "3.0.15-1~deb12u1"' in told
