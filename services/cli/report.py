"""`drydock report`: all that the last complete scan of an image says."""

from __future__ import annotations

import sys
from typing import Annotated

import msgspec
import typer

from services.cli.connect import Client, call
from services.cli.failure import reported
from services.cli.image import to_image_ref
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    ImageArgument,
    InstanceArgument,
    OutputOption,
    ServerOption,
    examples,
)
from services.cli.output import Output

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "drydock report prod team/app:1.0 > report.json",
        "drydock report prod team/app:1.0 --platform linux/arm64 --output table",
    )
)
def report(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    platform: Annotated[str, typer.Option(metavar="OS/ARCH", help="Which image of an index.")] = "",
    output: OutputOption = Output.JSON,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Prints the report of the last complete scan: packages, findings and warnings, as `drydock scan` does."""

    async def work(client: Client) -> bytes:
        from drydock.scanner.v1.scanner_service_pb2 import GetReportRequest

        request = GetReportRequest(image=to_image_ref(instance, image), platform=platform)
        return (await client.scanner.GetReport(request)).report

    stored = call(work, server=server, data=data, output=output)
    with reported(output):
        _print(output, stored)


def _print(output: Output, stored: bytes) -> None:
    if output is Output.JSON:
        sys.stdout.write(msgspec.json.format(stored).decode() + "\n")
        return
    from services.cli.report_table import print_report
    from services.kernel.model.report import Report

    document = msgspec.json.decode(stored, type=Report)
    print_report(document, document.findings)
