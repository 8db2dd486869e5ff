"""`drydock scan IMAGE`: one image, here and now, without a server."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from services.cli.failure import Exit, reported
from services.cli.kind import KindWord
from services.cli.local import Access, scan_here
from services.cli.options import (
    DEFAULT_DATA,
    AdvisoriesOption,
    DataOption,
    PasswordOption,
    PlainHttpOption,
    PlatformOption,
    ScanEngineOption,
    UserOption,
)
from services.cli.output import console_for, styled
from services.cli.severity import SeverityWord, parse_severities
from services.cli.show import Format, show

if TYPE_CHECKING:
    from services.cli.output import Output
    from services.kernel.model.report import Report
    from services.kernel.model.severity import Severity

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def scan(
    image: Annotated[
        str,
        typer.Argument(
            metavar="IMAGE",
            help="HOST/REPO:TAG[@DIGEST], oci:DIR[:TAG], oci-archive:FILE[:NAME] or docker-archive:FILE[:NAME].",
        ),
    ],
    *,
    format_: Annotated[
        Format, typer.Option("--format", help="For people, the whole report, or a form that other programs read.")
    ] = Format.TABLE,
    advisories: AdvisoriesOption = None,
    kind: Annotated[
        list[KindWord] | None, typer.Option(help="Look for this kind only; may be given again. All by default.")
    ] = None,
    engine: ScanEngineOption = "security-center",
    platform: PlatformOption = "",
    severity: Annotated[
        str, typer.Option(metavar="LIST", help="Show only these, as in high,critical; the counts stay.")
    ] = "",
    fail_on: Annotated[
        SeverityWord | None,
        typer.Option("--fail-on", case_sensitive=False, help="Exit 1 when a finding is so bad or worse."),
    ] = None,
    username: UserOption = "",
    password_stdin: PasswordOption = False,
    plain_http: PlainHttpOption = False,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Scans one image; needs no server and no database.

    Exit status: 0 scanned, and nothing as bad as --fail-on; 1 something is; 2 wrong usage, such as advisories that
    are not there or are none; 3 it could not be scanned, also because there is no Trivy here; 5 --fail-on
    cannot be decided, because a part of the image could not be judged.

    Example: drydock scan registry.example.com/team/app:1.0 --fail-on high
    Example: drydock scan docker-archive:app.tar --format sarif > app.sarif
    Example: drydock scan oci:./image --engine all --format json
    """
    with reported(format_.failures, otherwise=Exit.NOT_SCANNED):
        shown = parse_severities(severity)
        report, others = scan_here(
            image,
            advisories=advisories,
            kinds=kind,
            engine=engine,
            platform=platform,
            access=Access(username=username, password_stdin=password_stdin, plain_http=plain_http),
            data=data,
        )
    show(format_, _only(report, shown))
    if format_ is Format.TABLE:
        _note_what_was_not_weighed(report, others)
    if fail_on is not None:
        _gate(format_.failures, report, fail_on.severity)


def _only(report: Report, shown: frozenset[Severity]) -> Report:
    findings = tuple(finding for finding in report.findings if finding.severity in shown)
    return msgspec.structs.replace(report, findings=findings)


def _note_what_was_not_weighed(report: Report, others: str) -> None:
    """Tells people what the verdict says nothing of."""
    console = console_for(sys.stderr)
    if others:
        line = f"Judged for {report.image.platform} alone. The image is there for {others} too: see --platform."
        console.print(styled(line, "dim"), soft_wrap=True)
    unknown = report.summary.by_severity["UNKNOWN"]
    if unknown:
        line = f"Of {unknown} findings nobody has said how severe they are: they count as less than low."
        console.print(styled(line, "dim"), soft_wrap=True)


def _gate(output: Output, report: Report, limit: Severity) -> None:
    """Ends the process with 1 or 5 unless the image passes.

    What nobody has said the severity of counts as less than low here: the table and the counts tell of it.
    """
    from services.cli.verdict import end_with, judge_here
    from services.kernel.model.severity import Severity
    from services.scanner.gate.api import GatePolicy

    policy = GatePolicy(fail_on=limit, ignore_unknown=limit is not Severity.UNKNOWN)
    end_with(output, judge_here(report, policy))
