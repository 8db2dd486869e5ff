"""`drydock key`: who may call the gateway."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.duration import parse_duration
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption, examples
from services.cli.output import Output, Record, to_record

if TYPE_CHECKING:
    from drydock.gateway.v1.admin_service_pb2 import CreateKeyResponse, Key, RotateKeyResponse

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Access keys of the gateway.",
)

_COLUMNS = ("name", "key_id", "role", "limits", "create_time", "expire_time", "last_use_time")


class Role(enum.Enum):
    """Roles as they are typed."""

    ADMIN = "admin"
    OPERATOR = "operator"
    CLIENT = "client"
    VIEWER = "viewer"
    WEBHOOK = "webhook"


@app.command(
    epilog=examples(
        "drydock key create ci --role client --instance prod --expires 90d",
        "drydock key create team-a --role viewer --instance prod/team-a --instance prod/team-a/tools",
        "drydock key create sdk --role client --access-key",
        "drydock key create registry --role webhook --instance prod",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    role: Annotated[Role, typer.Option(help="What its bearer may do.")],
    instance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INSTANCE[/NAMESPACE]",
            help="What the key is limited to; again for more. A webhook key needs its one instance.",
        ),
    ] = None,
    access_key: Annotated[
        bool, typer.Option("--access-key", help="Also make an access key: id and secret, for the SDKs of ACR.")
    ] = False,
    expires: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration, metavar="TIME", help="How long it lives: 12h, 90d; for good by default."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Creates a key and prints its token, this once; for a webhook key also where its registry delivers."""

    async def work(client: Client) -> Record:
        from drydock.gateway.v1 import admin_service_pb2 as pb

        request = pb.CreateKeyRequest(name=name, role=pb.Role.Value(f"ROLE_{role.name}"), access_key=access_key)
        scopes = _by_instance(instance or [])
        if role is Role.WEBHOOK and len(scopes) == 1 and not any(scopes.values()):
            request.instance = next(iter(scopes))
        else:
            for name_or_id, namespaces in scopes.items():
                request.scopes.add(instance=name_or_id, namespaces=namespaces)
        if expires is not None:
            request.lifetime.FromNanoseconds(int(expires * 1e9))
        answer = await client.admin.CreateKey(request)
        facts = _with_secrets(answer)
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
        in_table = output is Output.TABLE
        records: list[Record] = [
            {**to_record(key), **({"limits": _limits_of(key)} if in_table else {})} for key in page.keys
        ]
        return records, page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output)


@app.command(epilog=examples("drydock key rotate ci", "drydock key rotate ci --overlap 0s"))
def rotate(
    key: Annotated[str, typer.Argument(metavar="KEY", help="Name or id of the key.")],
    *,
    overlap: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="How long the token that it has goes on opening: 90s, 12h, 7d; a day by default.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Gives a key another token, and another access key if it has one, and prints them, this once.

    What it has ends after the overlap.
    """

    async def work(client: Client) -> Record:
        from drydock.gateway.v1.admin_service_pb2 import RotateKeyRequest

        request = RotateKeyRequest(key=key)
        if overlap is not None:
            request.overlap.FromNanoseconds(int(overlap * 1e9))
        answer = await client.admin.RotateKey(request)
        return _with_secrets(answer)

    shown(work, server=server, data=data, output=output)


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


def _with_secrets(answer: CreateKeyResponse | RotateKeyResponse) -> dict[str, object]:
    facts = {**to_record(answer.key), "token": answer.token}
    if answer.access_key_id:
        facts |= {"access_key_id": answer.access_key_id, "access_key_secret": answer.access_key_secret}
    return facts


def _by_instance(scopes: Sequence[str]) -> dict[str, list[str]]:
    """Reads `INSTANCE` and `INSTANCE/NAMESPACE`: instances with their namespaces, none for the whole."""
    found: dict[str, list[str]] = {}
    for scope in scopes:
        instance, _, namespace = scope.partition("/")
        if instance in found and bool(found[instance]) is not bool(namespace):
            raise typer.BadParameter(f"{instance!r} is given whole and in part.", param_hint="--instance")
        found.setdefault(instance, [])
        if namespace:
            found[instance].append(namespace)
    return found


def _limits_of(key: Key) -> str:
    if key.instance_id:
        return key.instance_id
    return ", ".join(
        f"{scope.instance}/{namespace}" if namespace else scope.instance
        for scope in key.scopes
        for namespace in scope.namespaces or ("",)
    )
