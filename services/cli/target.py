"""`drydock target`: who is told."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call, listed, shown
from services.cli.duration import parse_duration
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption, examples
from services.cli.output import Output, Record, show_record, to_record
from services.cli.password import read_secret
from services.cli.target_when import when

if TYPE_CHECKING:
    from drydock.notifier.v1.notifier_service_pb2 import Target

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Targets: who is told.",
)

_COLUMNS = ("name", "target_id", "kind", "url", "format", "has_secret", "create_time")
_LARGEST_FILE = 65_536


class TargetKind(enum.Enum):
    """Kinds as they are typed."""

    HTTP = "http"
    HTTPS = "https"
    DINGTALK = "dingtalk"
    SLACK = "slack"
    EMAIL = "email"


class Format(enum.Enum):
    """Formats as they are typed."""

    JSON = "json"
    CLOUDEVENTS_BINARY = "cloudevents-binary"
    CLOUDEVENTS_STRUCTURED = "cloudevents-structured"


SecretOption = Annotated[
    bool,
    typer.Option(
        "--secret-stdin",
        help="Read from standard input the secret that signs what is sent to it, or its password.",
    ),
]
CaOption = Annotated[
    Path | None,
    typer.Option(
        "--ca", metavar="FILE", help="PEM: what its certificate must lead to, in place of what the system trusts."
    ),
]


@app.command(
    epilog=examples(
        "drydock target create chat --kind https --url https://hooks.example.com/drydock",
        'printf %s "$SECRET" | drydock target create siem --kind https --url https://siem.example.com/in \\\n'
        "      --secret-stdin --format cloudevents-structured --ca siem-ca.pem",
        'printf %s "$SEC" | drydock target create team --kind dingtalk --secret-stdin \\\n'
        "      --url 'https://oapi.dingtalk.com/robot/send?access_token=…'",
        'printf %s "$PASSWORD" | drydock target create mail --kind email --secret-stdin \\\n'
        "      --url 'smtps://mail.example.com/?from=drydock@example.com&to=team@example.com&user=drydock'",
    )
)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    kind: Annotated[TargetKind, typer.Option(help="How it is told.")],
    url: Annotated[str, typer.Option(metavar="URL", help="Where it is.")],
    secret_stdin: SecretOption = False,
    format_: Annotated[Format, typer.Option("--format", help="What is posted to it.")] = Format.JSON,
    ca: CaOption = None,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Saves a target; a rule with `--target TARGET_ID` tells it."""

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import notifier_service_pb2 as pb

        target = pb.Target(
            name=name,
            kind=pb.TargetKind.Value(f"TARGET_KIND_{kind.name}"),
            url=url,
            secret=secret,
            format=pb.TargetFormat.Value(f"TARGET_FORMAT_{format_.name}"),
            ca_certificates=certificates or "",
        )
        return _told((await client.notifier.CreateTarget(pb.CreateTargetRequest(target=target))).target)

    certificates = _read(ca)
    secret = read_secret(wanted=secret_stdin)
    shown(work, server=server, data=data, output=output)


@app.command(
    epilog=examples(
        "drydock target update siem --url https://siem2.example.com/in",
        'printf %s "$SECRET" | drydock target update siem --secret-stdin --overlap 7d',
    )
)
def update(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Name or id of the target.")],
    *,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Where it is from now on.")] = None,
    secret_stdin: SecretOption = False,
    no_secret: Annotated[bool, typer.Option("--no-secret", help="It has no secret any more.")] = False,
    overlap: Annotated[
        float | None,
        typer.Option(
            parser=parse_duration,
            metavar="TIME",
            help="How long the secret that it has goes on signing beside the new one: 12h, 7d; a day by default.",
        ),
    ] = None,
    format_: Annotated[Format | None, typer.Option("--format", help="What is posted to it.")] = None,
    ca: CaOption = None,
    no_ca: Annotated[bool, typer.Option("--no-ca", help="Trust what the system trusts again.")] = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Changes what is named; the rest stays.

    A new secret signs beside the one that it has until the overlap ends: its receiver can change over in between.
    """
    if secret_stdin and no_secret:
        raise typer.BadParameter("--secret-stdin and --no-secret exclude each other.")
    if ca and no_ca:
        raise typer.BadParameter("--ca and --no-ca exclude each other.")
    if not (secret_stdin or no_secret or no_ca) and all(value is None for value in (url, format_, ca)):
        raise typer.BadParameter("Name at least one thing to change.")

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import notifier_service_pb2 as pb

        request = pb.UpdateTargetRequest(target=target, url=url)
        if secret_stdin or no_secret:
            request.secret = secret
        if overlap is not None:
            request.overlap.FromNanoseconds(int(overlap * 1e9))
        if format_ is not None:
            request.format = pb.TargetFormat.Value(f"TARGET_FORMAT_{format_.name}")
        if certificates is not None:
            request.ca_certificates = certificates
        return _told((await client.notifier.UpdateTarget(request)).target)

    certificates = "" if no_ca else _read(ca)
    secret = read_secret(wanted=secret_stdin)
    shown(work, server=server, data=data, output=output)


@app.command()
def test(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="Name or id of the target.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Tells a target that this is a test, and prints what it answered; ends with 1 when it did not take it."""

    async def work(client: Client) -> Record:
        from drydock.notifier.v1.notifier_service_pb2 import SendTestNotificationRequest

        return to_record(await client.notifier.SendTestNotification(SendTestNotificationRequest(target=target)))

    answer = call(work, server=server, data=data, output=output)
    show_record(output, answer)
    if not answer["delivered"]:
        raise typer.Exit(1)


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
        return [_told(item) for item in page.targets], page.next_page_token

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


def _told(target: Target) -> Record:
    """Returns a target without the field that only goes in."""
    return {name: value for name, value in to_record(target).items() if name != "secret"}


def _read(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        with file.open(encoding="ascii") as handle:
            return handle.read(_LARGEST_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read as PEM.", param_hint="--ca") from error
