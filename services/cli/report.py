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
    SaidByOption,
    ServerOption,
    examples,
)
from services.cli.show import Format, show

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(
    epilog=examples(
        "drydock report prod team/app:1.0 > report.json",
        "drydock report prod team/app:1.0 --platform linux/arm64 --output cyclonedx",
    )
)
def report(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    platform: Annotated[str, typer.Option(metavar="OS/ARCH", help="Which image of an index.")] = "",
    engine: SaidByOption = "",
    output: Annotated[
        Format, typer.Option("--output", help="For people, the whole report, or a form that other programs read.")
    ] = Format.JSON,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Prints the report of the last complete scan: packages, findings and warnings, as `drydock scan` does."""

    async def work(client: Client) -> bytes:
        from drydock.scanner.v1.scanner_service_pb2 import GetReportRequest

        request = GetReportRequest(image=to_image_ref(instance, image, engine), platform=platform)
        return (await client.scanner.GetReport(request)).report

    stored = call(work, server=server, data=data, output=output.failures)
    with reported(output.failures):
        _print(output, stored)


def _print(output: Format, stored: bytes) -> None:
    if output is Format.JSON:  # as it was stored: a younger server says more than this release can read
        sys.stdout.write(msgspec.json.format(stored).decode() + "\n")
        return
    from services.kernel.model.report import Report

    show(output, msgspec.json.decode(stored, type=Report))
