"""`drydock key`: who may call the gateway."""

from __future__ import annotations

import enum
from typing import Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption, examples
from services.cli.output import Output, Record, to_record

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Access keys of the gateway.",
)

_COLUMNS = ("name", "key_id", "role", "instance_id", "create_time")


class Role(enum.Enum):
    """Roles as they are typed."""

    ADMIN = "admin"
    OPERATOR = "operator"
    CLIENT = "client"
    VIEWER = "viewer"
    WEBHOOK = "webhook"


@app.command(
    epilog=examples(
        "drydock key create ci --role client",
        "drydock key create sdk --role client --access-key",
        "drydock key create registry --role webhook --instance prod",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    instance: Annotated[
        str, typer.Option(metavar="INSTANCE", help="The instance of a webhook key; refused for other roles.")
    ] = "",
    access_key: Annotated[
        bool, typer.Option("--access-key", help="Also make an access key: id and secret, for the SDKs of ACR.")
    ] = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Creates a key and prints its token, this once; for a webhook key also where its registry delivers."""

    async def work(client: Client) -> Record:
        from drydock.gateway.v1 import admin_service_pb2 as pb

        request = pb.CreateKeyRequest(
            name=name, role=pb.Role.Value(f"ROLE_{role.name}"), instance=instance, access_key=access_key
        )
        answer = await client.admin.CreateKey(request)
        facts = {**to_record(answer.key), "token": answer.token}
        if answer.access_key_id:
            facts |= {"access_key_id": answer.access_key_id, "access_key_secret": answer.access_key_secret}
        return {**facts, "webhook_url": answer.webhook_url} if answer.webhook_url else facts

    shown(work, server=server, data=data, output=output)


@app.command("list")
def list_(
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists living keys, oldest first, without their tokens."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.gateway.v1.admin_service_pb2 import ListKeysRequest

        page = await client.admin.ListKeys(ListKeysRequest(page_size=size, page_token=token))
        return [to_record(item) for item in page.keys], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name or id of the key.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Revokes a key for good; calls with it are refused within two seconds."""

    async def work(client: Client) -> Record:
        from drydock.gateway.v1.admin_service_pb2 import RevokeKeyRequest

        return to_record(await client.admin.RevokeKey(RevokeKeyRequest(key=key)))

    shown(work, server=server, data=data, output=output)
