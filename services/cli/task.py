"""`drydock task`: starts scan tasks, looks at them, calls them off, tries them again."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call, listed, shown
from services.cli.duration import parse_duration
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
    examples,
)
from services.cli.output import Output, Record, to_record
from services.cli.run_outcome import show_run
from services.cli.wait import ServerWait, show_outcome, wait_for_end, wait_for_run

if TYPE_CHECKING:
    from drydock.scanner.v1.scan_pb2 import Run, Task
    from drydock.scanner.v1.scanner_service_pb2 import CancelScanTaskResponse, GetScanTaskResponse

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Scan tasks: start one, watch them, call them off, try them again.",
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
        from drydock.scanner.v1.scanner_service_pb2 import CreateScanTaskRequest

        request = CreateScanTaskRequest(
            image=to_image_ref(instance, image), engine=engine, request_id=str(uuid.uuid4())
        )
        task = (await client.scanner.CreateScanTask(request)).task
        if wait is None:
            return task
        return await _ended(client, task.task_id, wait)

    task = call(work, server=server, data=data, output=output, otherwise=Exit.NOT_SCANNED)
    show_outcome(output, task, waited=wait is not None)


@app.command(
    "list",
    epilog=examples(
        "drydock task list --instance prod --state failed --since 2h",
        "drydock task list --run 5b0c… --state failed --output json",
        "drydock task list --repository team/app --tag 1.0",
    ),
)
def list_(
    *,
    instance: Annotated[str, typer.Option(metavar="INSTANCE", help="Only tasks of this instance.")] = "",
    state: Annotated[State | None, typer.Option(help="Only tasks in this state.")] = None,
    run: Annotated[str, typer.Option("--run", metavar="RUN_ID", help="Only tasks of this run of a rule.")] = "",
    rule: Annotated[str, typer.Option(metavar="RULE_ID", help="Only tasks that this rule asked for.")] = "",
    engine: Annotated[str, typer.Option(metavar="ENGINE", help="Only tasks of this engine.")] = "",
    repository: Annotated[
        str, typer.Option(metavar="NAMESPACE/REPO", help="Only tasks on images of this repository.")
    ] = "",
    tag: Annotated[str, typer.Option(metavar="TAG", help="Only tasks on this tag.")] = "",
    since: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Only tasks of the last 90s, 5m, 2h."),
    ] = None,
    until: Annotated[
        float | None, typer.Option(parser=parse_duration, metavar="TIME", help="Only tasks that are older.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists tasks, newest first."""
    now = datetime.now(UTC)

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.scanner.v1 import scan_pb2
        from drydock.scanner.v1.scanner_service_pb2 import ListScanTasksRequest

        request = ListScanTasksRequest(
            instance=instance,
            state=scan_pb2.State.Value(f"STATE_{state.name if state else 'UNSPECIFIED'}"),
            run_id=run,
            rule_id=rule,
            engine=engine,
            repository=repository,
            tag=tag,
            page_size=size,
            page_token=token,
        )
        if since is not None:
            request.since.FromDatetime(now - timedelta(seconds=since))
        if until is not None:
            request.until.FromDatetime(now - timedelta(seconds=until))
        page = await client.scanner.ListScanTasks(request)
        return [to_record(item) for item in page.tasks], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


TaskArgument = Annotated[str, typer.Argument(metavar="TASK_ID", help="Id of a task, or of a run of a rule.")]


@app.command()
def show(
    task_id: TaskArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows one task with the scans of its platforms, or one run of a rule with its progress.

    Example: drydock task show 5b0c…
    """

    async def work(client: Client) -> Record:
        from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest

        return _record(await client.scanner.GetScanTask(GetScanTaskRequest(task_id=task_id)))

    shown(work, server=server, data=data, output=output)


@app.command()
def cancel(
    task_id: TaskArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Calls off a task, or a run of a rule with all its open tasks: they end as FAILED, reason CANCELLED.

    What others wait for goes on for them, and what has ended stays as it is.

    Example: drydock task cancel 5b0c…
    """

    async def work(client: Client) -> Record:
        from drydock.scanner.v1.scanner_service_pb2 import CancelScanTaskRequest

        return _record(await client.scanner.CancelScanTask(CancelScanTaskRequest(task_id=task_id)))

    shown(work, server=server, data=data, output=output)


@app.command()
def rerun(
    task_id: TaskArgument,
    *,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Tries a failed task again, or of a run of a rule those that failed and what could not be asked for.

    Tasks keep their ids. With --wait, exit statuses are those of `drydock task create` and `drydock rule run`.

    Example: drydock task rerun 5b0c… --wait 10m
    """

    async def work(client: Client) -> Task | Run | None:
        from drydock.scanner.v1.scanner_service_pb2 import (
            GetScanTaskRequest,
            RerunScanTaskRequest,
        )

        begun = await client.scanner.RerunScanTask(RerunScanTaskRequest(task_id=task_id))
        if begun.HasField("run"):

            async def ask_run(_: float) -> Run | None:
                return (await client.scanner.GetScanTask(GetScanTaskRequest(task_id=task_id))).run

            return begun.run if wait is None else await wait_for_run(ask_run, wait)
        if wait is None:
            return begun.task
        return await _ended(client, task_id, wait)

    from drydock.scanner.v1.scan_pb2 import Run

    otherwise = Exit.FAILED if wait is None else Exit.NOT_SCANNED
    found = call(work, server=server, data=data, output=output, otherwise=otherwise)
    if isinstance(found, Run):
        show_run(output, found, waited=wait is not None)
    else:
        show_outcome(output, found, waited=wait is not None)


async def _ended(client: Client, task_id: str, seconds: float) -> Task | None:
    """Waits for a task, and reads it with its platforms, of which nobody who waits is told."""
    from drydock.scanner.v1.scanner_service_pb2 import GetScanTaskRequest, WaitScanVerdictRequest

    if await wait_for_end(ServerWait(client, WaitScanVerdictRequest(task_id=task_id)), seconds) is None:
        return None
    return (await client.scanner.GetScanTask(GetScanTaskRequest(task_id=task_id))).task


def _record(answer: GetScanTaskResponse | CancelScanTaskResponse) -> Record:
    return to_record(answer.run if answer.HasField("run") else answer.task)
