"""`drydock fix`: repaired images, from the look at what would be done to putting a tag back."""

from __future__ import annotations

import enum
import uuid
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call, listed
from services.cli.failure import Exit
from services.cli.fix_outcome import Follower, show_fix, show_preview, show_reverted
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    InstanceArgument,
    OutputOption,
    ServerOption,
    WaitOption,
    examples,
)
from services.cli.output import Output, Record, to_record
from services.cli.wait import wait_for_fix

if TYPE_CHECKING:
    from drydock.fixer.v1.fix_pb2 import FixOrder, FixPreview, FixTask

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Repaired images: what would be fixed, made as a new tag, followed, put back.",
)

_COLUMNS = (
    "task_id",
    "namespace",
    "repository",
    "tag",
    "state",
    "stage",
    "fixed_tag",
    "fixed",
    "reason",
    "create_time",
)
_PREVIEW_SECONDS = 300.0


class StateWord(enum.Enum):
    """States as they are typed."""

    PENDING = "pending"
    RUNNING = "running"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    REVERTING = "reverting"
    REVERTED = "reverted"


ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="NAMESPACE/REPO:TAG; with @DIGEST, the tag must hold that.")
]
FindingOption = Annotated[
    list[str] | None,
    typer.Option(
        "--finding", metavar="ID", help="Only this finding; may be repeated. All that can be, by default."
    ),
]
OverwriteOption = Annotated[
    bool,
    typer.Option("--overwrite", help="Write over the tag itself, which takes an operator's key, not TAG_fixd."),
]
TaskArgument = Annotated[str, typer.Argument(metavar="TASK_ID", help="Id of a fix task.")]


@app.command(
    epilog=examples(
        "drydock fix preview prod team/app:1.0",
        "drydock fix preview prod team/app:1.0 --finding CVE-2024-5535 --output json",
    )
)
def preview(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    finding: FindingOption = None,
    overwrite: OverwriteOption = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Tells which package would go to which version, and why the rest stays; changes nothing.

    What is gone by is the image's last scan by SECURITY_CENTER, and the indexes of its repositories.
    """

    async def work(client: Client) -> FixPreview:
        from drydock.fixer.v1.fixer_service_pb2 import PreviewFixRequest

        request = PreviewFixRequest(order=_order(instance, image, finding, overwrite=overwrite))
        return (await client.fixer.PreviewFix(request, timeout=_PREVIEW_SECONDS)).preview

    show_preview(output, call(work, server=server, data=data, output=output, otherwise=Exit.NOT_SCANNED))


@app.command(
    epilog=examples(
        "drydock fix create prod team/app:1.0 --wait 10m",
        "drydock fix create prod team/app:1.0 --finding CVE-2024-5535 --target tgt-5b0c…",
        "drydock fix create prod team/app:1.0 --overwrite --wait 10m --output json",
    )
)
def create(
    instance: InstanceArgument,
    image: ImageArgument,
    *,
    finding: FindingOption = None,
    overwrite: OverwriteOption = False,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", metavar="TARGET_ID", help="Target that is told of the end; may be repeated."),
    ] = None,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Starts a fix: a repaired image is made of what the tag holds, pushed as TAG_fixd, and scanned.

    With --wait, exit 0 when everything is fixed (SUCCEEDED), 1 when some findings are left (PARTIAL), 3 when it
    FAILED, 5 when the time is up before its end. The same order while it is under way is the same task.
    """

    async def work(client: Client) -> FixTask | None:
        from drydock.fixer.v1.fixer_service_pb2 import CreateFixTaskRequest

        request = CreateFixTaskRequest(
            order=_order(instance, image, finding, overwrite=overwrite),
            target_ids=target or (),
            request_id=str(uuid.uuid4()),
        )
        task = (await client.fixer.CreateFixTask(request)).task
        return task if wait is None else await wait_for_fix(Follower(client, task.task_id, output), wait)

    task = call(work, server=server, data=data, output=output, otherwise=Exit.NOT_SCANNED)
    show_fix(output, task, waited=wait is not None)


@app.command(epilog=examples("drydock fix show 5b0c…", "drydock fix show 5b0c… --wait 10m"))
def show(
    task_id: TaskArgument,
    *,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows a fix: packages with their versions, and what became of each finding.

    With --wait, exit statuses are those of `drydock fix create`.
    """

    async def work(client: Client) -> FixTask | None:
        follower = Follower(client, task_id, output)
        return await (follower(0.0) if wait is None else wait_for_fix(follower, wait))

    otherwise = Exit.FAILED if wait is None else Exit.NOT_SCANNED
    task = call(work, server=server, data=data, output=output, otherwise=otherwise)
    show_fix(output, task, waited=wait is not None)


@app.command(
    "list",
    epilog=examples(
        "drydock fix list --instance prod --state partial", "drydock fix list --repository team/app --tag 1.0"
    ),
)
def list_(
    *,
    instance: Annotated[str, typer.Option(metavar="INSTANCE", help="Only fixes in this instance.")] = "",
    repository: Annotated[
        str, typer.Option(metavar="NAMESPACE/REPO", help="Only fixes of images of this repository.")
    ] = "",
    tag: Annotated[str, typer.Option(metavar="TAG", help="Only fixes of this tag.")] = "",
    state: Annotated[StateWord | None, typer.Option(help="Only fixes in this state.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists fixes, newest first."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.fixer.v1.fix_pb2 import FixState
        from drydock.fixer.v1.fixer_service_pb2 import ListFixTasksRequest

        request = ListFixTasksRequest(
            instance=instance,
            repository=repository,
            tag=tag,
            state=FixState.Value(f"FIX_STATE_{state.name if state else 'UNSPECIFIED'}"),
            page_size=size,
            page_token=token,
        )
        page = await client.fixer.ListFixTasks(request)
        return [to_record(task) for task in page.tasks], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


@app.command(epilog=examples("drydock fix cancel 5b0c…"))
def cancel(
    task_id: TaskArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Calls off a fix: it ends as FAILED, reason CANCELLED, and nothing is written.

    One that writes to the registry already cannot be called off: put it back once it has ended.
    """

    async def work(client: Client) -> FixTask:
        from drydock.fixer.v1.fixer_service_pb2 import CancelFixTaskRequest

        return (await client.fixer.CancelFixTask(CancelFixTaskRequest(task_id=task_id))).task

    show_fix(output, call(work, server=server, data=data, output=output), waited=False)


@app.command(epilog=examples("drydock fix revert 5b0c… --wait 1m"))
def revert(
    task_id: TaskArgument,
    *,
    wait: WaitOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Puts back what the written tag held before, where the tag still holds the fix.

    With --wait, exit 1 when it could not be put back, 5 when the time is up before that is known.
    """

    async def work(client: Client) -> FixTask | None:
        from drydock.fixer.v1.fixer_service_pb2 import RevertFixTaskRequest

        task = (await client.fixer.RevertFixTask(RevertFixTaskRequest(task_id=task_id))).task
        return task if wait is None else await wait_for_fix(Follower(client, task_id, output), wait)

    show_reverted(output, call(work, server=server, data=data, output=output), waited=wait is not None)


def _order(instance: str, image: str, findings: list[str] | None, *, overwrite: bool) -> FixOrder:
    """Reads `NAMESPACE/REPO:TAG`, with `@DIGEST` or without.

    Raises:
        ServiceError: INVALID_REFERENCE.
    """
    from drydock.fixer.v1.fix_pb2 import FixOrder
    from services.kernel.model.reference import parse_image

    name = parse_image(image)
    return FixOrder(
        instance=instance,
        namespace=name.repository.namespace,
        repository=name.repository.name,
        tag=name.tag or "",
        digest=name.digest or "",
        finding_ids=findings or (),
        overwrite=overwrite,
    )
