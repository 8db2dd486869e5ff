"""The verdict of a gate: given here for a report, printed, and turned into an exit status."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from services.cli.failure import Exit, tell
from services.cli.output import Output, cell, console_for, print_json, styled, table_of, to_record
from services.kernel.errors import Kind, ServiceError

if TYPE_CHECKING:
    from drydock.scanner.v1 import gate_pb2 as pb
    from services.kernel.model.report import Report
    from services.scanner.gate.api import GatePolicy, GateVerdict

_TITLES = ("SEVERITY", "ID", "PACKAGE OR MATCH", "VERSION", "FIXED", "PATH")
_STYLES = {"PASS": "bold green", "FAIL": "bold red", "UNDECIDED": "bold yellow"}
_MOST_ROWS = 100


def judge_here(report: Report, policy: GatePolicy) -> GateVerdict:
    """Holds a report that was just made against a policy.

    Raises:
        ServiceError: INVALID_VEX, VEX_TOO_LARGE.
    """
    from services.scanner.api import PlacedFinding
    from services.scanner.gate.evaluate import Evidence, evaluate
    from services.scanner.wiring.one_shot import advisory_age

    platforms = (report.image.platform,)
    evidence = Evidence(
        reports=(report,),
        findings=tuple(PlacedFinding(finding=finding, platforms=platforms) for finding in report.findings),
        digest=report.image.digest,
    )
    return evaluate(policy, evidence, now=datetime.now(UTC), age_limit=advisory_age())


def end_with(output: Output, verdict: GateVerdict) -> None:
    """Says on standard error why the image does not pass, and ends the process with 1, 3 or 5 then."""
    from services.scanner.gate.api import SCAN_FAILED, Decision

    if verdict.decision is Decision.PASS:
        return
    first, *others = verdict.reasons
    if verdict.decision is Decision.FAIL:
        failures = [reason for reason in verdict.reasons if reason.code == first.code]
        message = " ".join(reason.message for reason in failures)
        tell(output, ServiceError(Kind.FAILED_PRECONDITION, "GATE_FAILED", message))
        raise typer.Exit(int(Exit.GATE_FAILED))
    message = f"The gate cannot decide: {first.message}"
    more = f"And {len(others)} more: see the verdict." if others else ""
    facts = {"detail": first.detail} if first.detail else {}
    tell(output, ServiceError(Kind.FAILED_PRECONDITION, first.code, message, hint=more, metadata=facts))
    raise typer.Exit(int(Exit.NOT_SCANNED if first.code == SCAN_FAILED else Exit.UNDECIDED))


def show_verdict(output: Output, message: pb.GateVerdict) -> None:
    """Prints a verdict: as the server would send it, or for people."""
    record: dict[str, Any] = to_record(message)
    if output is Output.JSON:
        print_json(record)
        return
    console = console_for(sys.stdout)
    if record["failing"]:
        console.print(table_of(_TITLES, map(_row, record["failing"][:_MOST_ROWS])))
        console.print()
    decision = record["decision"]
    console.print(styled(decision, _STYLES.get(decision, "")), soft_wrap=True)
    for name, value in _lines(record):
        console.print(styled(name.ljust(9), "dim").append_text(cell(value)), soft_wrap=True)


def _lines(record: dict[str, Any]) -> Iterator[tuple[str, object]]:
    for reason in record["reasons"]:
        yield "reason", f"{reason['message']} [{reason['code']}]"
    if len(record["failing"]) > _MOST_ROWS:
        yield "", f"{len(record['failing']) - _MOST_ROWS} more findings fail: see --output json"
    if record["counts"]:
        yield "counted", record["counts"]
    for excused in record["excused"][:_MOST_ROWS]:
        yield "excused", f"{excused['finding']['id']}: {excused['reason']} [{excused['source']}]"
    for note in record["notes"]:
        yield "note", f"{note['message']} [{note['code']}]"
    if record["digest"]:
        yield "digest", record["digest"]
    if record["task_id"]:
        yield "task", f"{record['task_id']} ({record['engine']})"


def _row(finding: dict[str, Any]) -> tuple[str, ...]:
    package = finding["package"]
    return (
        finding["severity"],
        finding["id"],
        package["name"] if package else finding["match"],
        package["version"] if package else "",
        finding["fixed_version"],
        finding["path"],
    )
