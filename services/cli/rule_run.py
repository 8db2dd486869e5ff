"""`drydock rule preview` and `drydock rule run`: what a rule would scan now, and that it does."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call, shown
from services.cli.failure import Exit
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    OutputOption,
    ServerOption,
    WaitOption,
)
from services.cli.output import Output, Record, show_record, to_record
from services.cli.run_outcome import show_run
from services.cli.wait import wait_for_run

if TYPE_CHECKING:
    from drydock.rules.v1.run_pb2 import RuleRun
    from drydock.scanner.v1.scan_pb2 import Run

RuleArgument = Annotated[str, typer.Argument(metavar="RULE_ID", help="Id of the rule, `crscnr-…`.")]


def preview(
    rule_id: RuleArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Asks the registry what a run of the rule would scan now; nothing is started.

    Example: drydock rule preview crscnr-…
    """

    async def work(client: Client) -> Record:
        from drydock.rules.v1.rules_service_pb2 import PreviewScanRuleRequest

        answer = await client.rules.PreviewScanRule(PreviewScanRuleRequest(rule_id=rule_id))
        return to_record(answer.preview)

    shown(work, server=server, data=data, output=output)


def run(
    rule_id: RuleArgument,
    *,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Scans every tag in the registry that matches the rule, AUTO or MANUAL: one task, one scan for each image.

    Prints the run, whose id `drydock task show|cancel|rerun` takes. With --wait until it has ended: exit 3 when an
    image could not be scanned, or the registry not be read; 5 when no tag matches, in an image nothing could be
    judged, it was called off, or the time is up before its end.

    Example: drydock rule run crscnr-… --wait 10m
    """

    async def work(client: Client) -> RuleRun | Run:
        from drydock.rules.v1.rules_service_pb2 import RunScanRuleRequest
        from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest

        request = RunScanRuleRequest(rule_id=rule_id, request_id=str(uuid.uuid4()))
        started = (await client.rules.RunScanRule(request)).run
        if wait is None:
            return started

        async def ask(_: float) -> Run | None:
            return (await client.scanner.GetScanTask(GetScanTaskRequest(task_id=started.run_id))).run

        return await wait_for_run(ask, wait) or started

    otherwise = Exit.FAILED if wait is None else Exit.NOT_SCANNED
    show(output, call(work, server=server, data=data, output=output, otherwise=otherwise))


def show(output: Output, found: RuleRun | Run) -> None:
    """Prints what was started, or what came of it."""
    from drydock.scanner.v1.scan_pb2 import Run

    if isinstance(found, Run):
        show_run(output, found, waited=True)
    else:
        show_record(output, to_record(found))
