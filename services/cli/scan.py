"""`drydock scan IMAGE`: one image, here and now, without a server."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec
import typer

from services.cli.failure import Exit, reported, tell
from services.cli.kind import KindWord
from services.cli.options import DEFAULT_DATA, DataOption, PasswordOption, ScanEngineOption
from services.cli.output import console_for, styled
from services.cli.password import check_pair, read_password
from services.cli.severity import SeverityWord, parse_severities
from services.cli.show import Format, show
from services.kernel.errors import Kind, ServiceError, invalid

if TYPE_CHECKING:
    from services.cli.output import Output
    from services.kernel.model.access import RegistryAccess
    from services.kernel.model.engine import Engine
    from services.kernel.model.finding import FindingKind
    from services.kernel.model.reference import ImageReference
    from services.kernel.model.report import Report
    from services.kernel.model.severity import Severity
    from services.kernel.workers.template import Template

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_NO_ADVISORIES = frozenset({"ADVISORY_SOURCE_NOT_FOUND", "ADVISORY_SOURCE_BROKEN", "ADVISORY_SOURCE_TOO_LARGE"})
_ADVISORIES_HINT = "Give a zip, a folder, a .json or .ndjson file of OSV records to --advisories."

Progress: TypeAlias = Callable[[str, Mapping[str, object]], None]


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
    advisories: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="OSV records in place of the data directory's advisories: a zip, a folder, a file.",
        ),
    ] = None,
    kind: Annotated[
        list[KindWord] | None, typer.Option(help="Look for this kind only; may be given again. All by default.")
    ] = None,
    engine: ScanEngineOption = "security-center",
    platform: Annotated[str, typer.Option(metavar="OS/ARCH", help="Which image of an index.")] = "",
    severity: Annotated[
        str, typer.Option(metavar="LIST", help="Show only these, as in high,critical; the counts stay.")
    ] = "",
    fail_on: Annotated[
        SeverityWord | None,
        typer.Option("--fail-on", case_sensitive=False, help="Exit 1 when a finding is so bad or worse."),
    ] = None,
    username: Annotated[str, typer.Option(metavar="U", help="User of the registry.")] = "",
    password_stdin: PasswordOption = False,
    plain_http: Annotated[bool, typer.Option("--plain-http", help="The registry has no TLS.")] = False,
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
    with reported(format_.failures, otherwise=Exit.NOT_SCANNED), _template() as template:
        from services.kernel.model.engine import parse_engines
        from services.kernel.model.platform import parse_platform
        from services.kernel.model.reference import parse_reference

        _check_environment()
        asked = parse_engines(engine)
        kinds = _kinds(kind, asked)
        reference = parse_reference(image)
        shown = parse_severities(severity)
        wanted = parse_platform(platform) if platform else None
        check_pair(username, password_wanted=password_stdin)
        access = _access(reference, plain_http, username, read_password(wanted=password_stdin))

        from services.scanner.wiring.one_shot import one_shot

        async def work(progress: Progress) -> Report:
            return await one_shot(
                reference,
                template=template,
                access=access,
                platform=wanted,
                advisories=advisories,
                engine=asked,
                kinds=kinds,
                data=data.expanduser(),
                progress=progress,
            )

        with _named(advisories):
            report, others = _watched(work)
    show(format_, _only(report, shown))
    if format_ is Format.TABLE:
        _note_what_was_not_weighed(report, others)
    if fail_on is not None:
        _gate(format_.failures, report, fail_on.severity)


def _kinds(words: list[KindWord] | None, engine: Engine) -> frozenset[FindingKind]:
    """Returns what is looked for; refuses to have only looked for what the engine never finds."""
    from services.kernel.model.engine import Engine
    from services.kernel.model.finding import VULNERABILITIES, FindingKind

    kinds = frozenset(FindingKind[each.name] for each in words or KindWord)
    if engine is Engine.TRIVY and kinds.isdisjoint(VULNERABILITIES):
        raise invalid(
            "KIND_NOT_FOUND_BY_ENGINE",
            "The TRIVY engine finds vulnerabilities only.",
            field="kind",
            hint="Leave --kind out, or scan with security-center.",
        )
    return kinds


def _check_environment() -> None:
    """Reads no setting where none is made: to import all that reads them takes longer than a small image."""
    if any(name.upper().startswith("DRYDOCK_") for name in os.environ):
        from services.settings import check_environment

        check_environment()


@contextmanager
def _template() -> Iterator[Template]:
    """Yields what workers come from: it imports while we do."""
    from services.cli.head_start import take

    with closing(take()) as template:
        take.cache_clear()
        yield template


def _access(reference: ImageReference, plain_http: bool, username: str, password: str) -> RegistryAccess | None:
    """Returns how to reach the registry; None for a folder or an archive."""
    from pydantic import SecretStr

    from services.kernel.model.access import RegistryAccess
    from services.kernel.model.reference import RegistryReference

    if not isinstance(reference, RegistryReference):
        if username:
            raise invalid(
                "INVALID_CREDENTIALS", "A file asks for no user.", field="username", hint="Leave --username out."
            )
        return None
    return RegistryAccess(
        address=reference.host, plain_http=plain_http, username=username, password=SecretStr(password)
    )


@contextmanager
def _named(advisories: Path | None) -> Iterator[None]:
    """Makes wrong usage of a failure of the advisories that the caller named: the image was not even looked at."""
    try:
        yield
    except ServiceError as error:
        if advisories is None or error.reason not in _NO_ADVISORIES:
            raise
        raise invalid(error.reason, error.message, field="advisories", hint=_ADVISORIES_HINT) from error


def _watched(work: Callable[[Progress], Coroutine[object, object, Report]]) -> tuple[Report, str]:
    """Runs the scan with a line on standard error that says what is being done.

    Returns the report, and the platforms that the image is there for besides the one that was chosen.
    """
    from services.kernel.late_log import silence

    silence()
    others = ""
    with _display() as show_line:

        def progress(step: str, facts: Mapping[str, object]) -> None:
            nonlocal others
            if step == "platform":
                others = str(facts["others"])
            show_line(f"{step}: {', '.join(f'{key} {value}' for key, value in facts.items())}")

        return asyncio.run(work(progress)), others


@contextmanager
def _display() -> Iterator[Callable[[str], None]]:
    """Yields what shows a line to a person; where none looks, what draws is not even imported."""
    if not sys.stderr.isatty():
        yield lambda line: None
        return
    with console_for(sys.stderr).status("starting") as display:
        yield display.update


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
    """Ends the process with 1 or 5 unless the image passes."""
    from services.kernel.model.report import Coverage

    failing = [finding for finding in report.findings if finding.severity.rank >= limit.rank]
    if failing:
        message = f"{len(failing)} of {len(report.findings)} findings are {limit.value} or worse."
        tell(output, ServiceError(Kind.FAILED_PRECONDITION, "GATE_FAILED", message))
        raise typer.Exit(int(Exit.GATE_FAILED))
    if report.summary.coverage is not Coverage.FULL:
        message = f"Nothing is {limit.value} or worse, but the image could not be judged in full."
        why = next((each.message for each in report.warnings if each.code == report.summary.coverage_reason), "")
        tell(output, ServiceError(Kind.FAILED_PRECONDITION, report.summary.coverage_reason, message, hint=why))
        raise typer.Exit(int(Exit.UNDECIDED))
