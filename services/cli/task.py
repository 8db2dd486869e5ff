"""`drydock task`: starts scan tasks and looks at them."""

from __future__ import annotations

import enum
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call, listed, shown
from services.cli.failure import Exit
from services.cli.image import to_image_ref
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    EngineOption,
    ImageArgument,
    InstanceArgument,
    OutputOption,
    ServerOption,
    WaitOption,
)
from services.cli.output import Output, Record, to_record
from services.cli.wait import show_outcome, wait_for_end

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import Task

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Scan tasks: start one, watch them.",
)

_COLUMNS = (
    "task_id",
    "namespace",
    "repository",
    "tag",
    "digest",
    "state",
    "reason",
    "coverage",
    "findings",
    "create_time",
)


class State(enum.Enum):
    """States as they are typed."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    COMPLETE = "complete"
    FAILED = "failed"


@app.command()
def create(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    engine: EngineOption = "",
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Starts a scan of an image; a scan of the same content that runs or is finished is shared.

    Exit 3 when it FAILED, 5 when it is COMPLETE but nothing could be judged (coverage NONE), or when the time of
    --wait is up before its end.

    Example: drydock task create prod team/app:1.0 --wait 5m
    """

    async def work(client: Client) -> Task | None:
        from drydock.scanner.v1.scanner_service_pb2 import CreateScanTaskRequest, GetScanTaskRequest

        request = CreateScanTaskRequest(
            image=to_image_ref(instance, image), engine=engine, request_id=str(uuid.uuid4())
        )
        task = (await client.scanner.CreateScanTask(request)).task
        if wait is None:
            return task

        async def ask() -> Task | None:
            return (await client.scanner.GetScanTask(GetScanTaskRequest(task_id=task.task_id))).task

        return await wait_for_end(ask, wait)

    task = call(work, server=server, data=data, output=output, otherwise=Exit.NOT_SCANNED)
    show_outcome(output, task, waited=wait is not None)


@app.command("list")
def list_(
    *,
    instance: Annotated[str, typer.Option(metavar="INSTANCE", help="Only tasks of this instance.")] = "",
    state: Annotated[State | None, typer.Option(help="Only tasks in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists tasks, newest first."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.scanner.v1 import scan_pb2
        from drydock.scanner.v1.scanner_service_pb2 import ListScanTasksRequest

        wanted = scan_pb2.State.Value(f"STATE_{state.name if state else 'UNSPECIFIED'}")

        request = ListScanTasksRequest(instance=instance, state=wanted, page_size=size, page_token=token)
        page = await client.scanner.ListScanTasks(request)
        return [to_record(item) for item in page.tasks], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


@app.command()
def show(
    task_id: Annotated[str, typer.Argument(metavar="TASK_ID")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows one task with the scans of its platforms."""

    async def work(client: Client) -> Record:
        from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest

        return to_record((await client.scanner.GetScanTask(GetScanTaskRequest(task_id=task_id))).task)

    shown(work, server=server, data=data, output=output)
