"""`drydock gate`: whether an image may pass."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call
from services.cli.duration import parse_duration
from services.cli.exemptions import read_document, read_exemptions
from services.cli.failure import Exit, reported
from services.cli.image import to_image_ref
from services.cli.kind import KindWord
from services.cli.local import Access, scan_here
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    AdvisoriesOption,
    DataOption,
    OutputOption,
    PasswordOption,
    PlainHttpOption,
    PlatformOption,
    ServerOption,
    UserOption,
    WaitOption,
    examples,
)
from services.cli.output import Output
from services.cli.severity import SeverityWord
from services.cli.verdict import end_with, judge_here, show_verdict
from services.cli.wait import ServerWait, wait_for_end
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.model.severity import Severity

if TYPE_CHECKING:
    from drydock.scanner.v1 import gate_pb2 as pb
    from drydock.scanner.v1.scan_pb2 import ImageRef
    from services.kernel.model.report import Report
    from services.scanner.gate.api import GateAnswer, GatePolicy, GateVerdict

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_AGAIN_SECONDS = 0.5
_ALLOWANCE = re.compile(r"([A-Za-z]+)=([0-9]{1,9})")


@app.command(
    epilog=examples(
        "drydock gate prod team/app:1.0 --wait 5m --fail-on high --fixable-only",
        "drydock gate prod team/app:1.0 --vex team.vex.json --exempt exempt.toml --output json",
        "drydock gate --local registry.example.com/team/app:1.0 --fail-on critical",
    ),
)
def gate(
    instance: Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")] = "",
    image: Annotated[
        str, typer.Argument(metavar="IMAGE", help="NAMESPACE/REPO:TAG or NAMESPACE/REPO@DIGEST.")
    ] = "",
    *,
    local: Annotated[
        str,
        typer.Option("--local", metavar="IMAGE", help="Scan this image here and now, as `drydock scan` does."),
    ] = "",
    fail_on: Annotated[
        SeverityWord, typer.Option("--fail-on", case_sensitive=False, help="Findings so bad or worse fail.")
    ] = SeverityWord.HIGH,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="SEVERITY=N", help="So many may be there all the same; may be given again."),
    ] = None,
    ignore_unknown: Annotated[
        bool, typer.Option("--ignore-unknown", help="Findings of unknown severity pass; else they fail.")
    ] = False,
    fixable_only: Annotated[
        bool, typer.Option("--fixable-only", help="Of vulnerabilities, those count that a newer version mends.")
    ] = False,
    kind: Annotated[
        list[KindWord] | None, typer.Option(help="Only this kind counts; may be given again. All by default.")
    ] = None,
    exempt: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Findings that may pass, why and until when: TOML.")
    ] = None,
    vex: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An OpenVEX document; may be given again.")
    ] = None,
    max_advisory_age: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="How old advisories may be; 7 days by default."),
    ] = None,
    wait: WaitOption = None,
    engine: Annotated[
        str, typer.Option("--engine", metavar="ENGINE", help="What this engine says; by default the last scan.")
    ] = "",
    platform: PlatformOption = "",
    advisories: AdvisoriesOption = None,
    username: UserOption = "",
    password_stdin: PasswordOption = False,
    plain_http: PlainHttpOption = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Tells whether an image may pass: PASS, FAIL or UNDECIDED, with the reasons.

    The registry is asked what the tag is now, and the verdict is about that digest alone. UNDECIDED is whatever
    nobody can tell: an image not scanned, a scan under way, a part that could not be judged, old advisories.

    Exit status: 0 it passes; 1 it fails; 2 wrong usage; 3 it could not be scanned; 4 no server; 5 undecided, also
    when the time of --wait is up.
    """
    with reported(output, otherwise=Exit.NOT_SCANNED):
        policy = _policy(
            fail_on,
            allow or [],
            ignore_unknown=ignore_unknown,
            fixable_only=fixable_only,
            kinds=kind or [],
            exempt=exempt,
            vex=vex or [],
            max_advisory_age=max_advisory_age,
        )
        _check_usage(instance, image, local=local, wait=wait)
    if local:
        access = Access(username=username, password_stdin=password_stdin, plain_http=plain_http)
        with reported(output, otherwise=Exit.NOT_SCANNED):
            report, others = scan_here(
                local,
                advisories=advisories,
                kinds=kind,
                engine=engine or "security-center",
                platform=platform,
                access=access,
                data=data,
            )
            answer = _local_answer(judge_here(report, policy), report, others)
    else:

        async def work(client: Client) -> pb.GateVerdict:
            named = to_image_ref(instance, image, engine)
            return await _asked(client, named, policy, platform, wait or 0.0)

        from services.scanner.convert_gate import from_verdict

        answer = from_verdict(call(work, server=server, data=data, output=output, otherwise=Exit.NOT_SCANNED))
    from services.scanner.convert_gate import to_verdict

    show_verdict(output, to_verdict(answer))
    end_with(output, answer.verdict)


async def _asked(
    client: Client, image: ImageRef, policy: GatePolicy, platform: str, seconds: float
) -> pb.GateVerdict:
    """Asks for the verdict, again when a scan has ended, until somebody can tell or the time is up.

    Each time the registry is asked what the tag is: where it moves meanwhile, what it is at last decides.
    """
    from drydock.scanner.v1.scanner_service_pb2 import EvaluateGateRequest, WaitScanVerdictRequest
    from services.kernel.rpc.client import translated_errors
    from services.scanner.convert_gate import to_policy
    from services.scanner.gate.api import MAY_COME

    loop = asyncio.get_running_loop()
    give_up = loop.time() + seconds
    request = EvaluateGateRequest(image=image, policy=to_policy(policy), platform=platform)
    waiting = ServerWait(client, WaitScanVerdictRequest(image=image))
    verdict: pb.GateVerdict | None = None
    while True:
        try:
            with translated_errors():
                verdict = (await client.scanner.EvaluateGate(request)).verdict
        except ServiceError as error:
            if verdict is None or error.kind not in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED):
                raise
        else:
            waiting.reached = True
            if MAY_COME.isdisjoint(reason.code for reason in verdict.reasons):
                return verdict
        left = give_up - loop.time()
        if left <= 0:
            return verdict
        await asyncio.sleep(min(_AGAIN_SECONDS, left))
        await wait_for_end(waiting, max(give_up - loop.time(), 0.0))


def _local_answer(verdict: GateVerdict, report: Report, others: str) -> GateAnswer:
    from services.kernel.model.digest import parse_digest
    from services.kernel.model.engine import parse_engines
    from services.scanner.gate.api import GateAnswer, GateReason

    if others:
        message = f"Judged for {report.image.platform} alone. The image is there for {others} too: see --platform."
        note = GateReason(code="OTHER_PLATFORMS", message=message)
        verdict = dataclasses.replace(verdict, notes=(*verdict.notes, note))
    return GateAnswer(
        verdict=verdict, digest=parse_digest(report.image.digest), engine=parse_engines(report.engine.name)
    )


def _policy(
    fail_on: SeverityWord,
    allow: list[str],
    *,
    ignore_unknown: bool,
    fixable_only: bool,
    kinds: list[KindWord],
    exempt: Path | None,
    vex: list[Path],
    max_advisory_age: float | None,
) -> GatePolicy:
    from services.kernel.model.finding import FindingKind
    from services.scanner.gate.api import GatePolicy, checked_age

    return GatePolicy(
        fail_on=fail_on.severity,
        allowed=dict(map(_allowance, allow)),
        ignore_unknown=ignore_unknown,
        fixable_only=fixable_only,
        kinds=frozenset(FindingKind[each.name] for each in kinds),
        exemptions=read_exemptions(exempt) if exempt is not None else (),
        vex=tuple(read_document(path, "vex") for path in vex),
        max_advisory_age=checked_age(max_advisory_age) if max_advisory_age is not None else None,
    )


def _allowance(text: str) -> tuple[Severity, int]:
    match = _ALLOWANCE.fullmatch(text)
    if match is None or match[1].upper() not in Severity.__members__:
        raise invalid(
            "INVALID_LIMIT",
            f"{text[:40]!r} is no limit.",
            field="allow",
            hint="Write SEVERITY=N: medium=10.",
        )
    return Severity[match[1].upper()], int(match[2])


def _check_usage(instance: str, image: str, *, local: str, wait: float | None) -> None:
    if not local and not (instance and image):
        raise invalid(
            "INVALID_IMAGE", "Nothing says which image.", hint="Write INSTANCE and IMAGE, or --local IMAGE."
        )
    if local and (instance or image or wait is not None):
        raise invalid(
            "INVALID_IMAGE",
            "With --local there is no server that has instances or could be waited for.",
            field="local",
            hint="Leave out INSTANCE, IMAGE and --wait.",
        )
