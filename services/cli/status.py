"""`drydock status`: where the scan of an image stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from services.cli.connect import Client, call
from services.cli.image import to_image_ref
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    ImageArgument,
    InstanceArgument,
    OutputOption,
    SaidByOption,
    ServerOption,
    WaitOption,
)
from services.cli.output import Output
from services.cli.wait import ServerWait, show_outcome, wait_for_end

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import Task

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def status(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    engine: SaidByOption = "",
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Tells where the scan of an image stands, and which digest the answer speaks of.

    Exit 3 when the scan FAILED, 5 when it is COMPLETE but nothing could be judged (coverage NONE). With --wait
    until it has ended; exit 5 when the time is up before that. The registry is asked what the tag is then, and
    that is waited for, also where nobody has begun to scan it: its push may be on the way.

    Example: drydock status prod team/app:1.0 --wait 5m
    """

    async def work(client: Client) -> Task | None:
        from drydock.scanner.v1.scanner_service_pb2 import GetImageStatusRequest, WaitScanVerdictRequest

        named = to_image_ref(instance, image, engine)
        if wait is None:
            return (await client.scanner.GetImageStatus(GetImageStatusRequest(image=named))).task
        return await wait_for_end(ServerWait(client, WaitScanVerdictRequest(image=named)), wait)

    task = call(work, server=server, data=data, output=output)
    show_outcome(output, task, waited=wait is not None)
