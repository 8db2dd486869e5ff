"""`drydock target`: who is told."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption
from services.cli.output import Output, Record, to_record
from services.cli.target_when import when

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Targets: who is told.",
)

_COLUMNS = ("name", "target_id", "kind", "url", "create_time")


class TargetKind(enum.Enum):
    """Kinds as they are typed."""

    HTTP = "http"
    HTTPS = "https"


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    kind: Annotated[TargetKind, typer.Option(help="How it is told.")],
    url: Annotated[str, typer.Option(metavar="URL", help="Where each notification is posted as JSON.")],
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Saves a target; a rule with `--target TARGET_ID` tells it.

    Example: drydock target create chat --kind https --url https://hooks.example.com/drydock
    """

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import notifier_service_pb2 as pb

        target = pb.Target(name=name, kind=pb.TargetKind.Value(f"TARGET_KIND_{kind.name}"), url=url)
        return to_record((await client.notifier.CreateTarget(pb.CreateTargetRequest(target=target))).target)

    shown(work, server=server, data=data, output=output)


@app.command("list")
def list_(
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists targets by name."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.notifier.v1.notifier_service_pb2 import ListTargetsRequest

        page = await client.notifier.ListTargets(ListTargetsRequest(page_size=size, page_token=token))
        return [to_record(item) for item in page.targets], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command()
def delete(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Name or id of the target.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Deletes a target; deliveries that are under way to it end."""

    async def work(client: Client) -> Record:
        from drydock.notifier.v1.notifier_service_pb2 import DeleteTargetRequest

        return to_record(await client.notifier.DeleteTarget(DeleteTargetRequest(target=target)))

    shown(work, server=server, data=data, output=output)


app.command("when")(when)
