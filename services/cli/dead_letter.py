"""`drydock dead-letter`: messages that no consumer could read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, listed, shown
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption
from services.cli.output import Output, Record, to_record

if TYPE_CHECKING:
    from drydock.gateway.v1 import admin_service_pb2 as pb

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="What no consumer could read.",
)

_COLUMNS = ("letter", "bury_time", "group", "reason", "error", "key", "size")

LetterArgument = Annotated[
    str, typer.Argument(metavar="LETTER", help="TOPIC:PARTITION:POSITION, as the list tells it.")
]


@app.command("list")
def list_(
    *,
    topic: Annotated[str, typer.Option(metavar="TOPIC", help="Only those that were for this topic.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists dead letters by topic and place: when, who refused it, and why."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.gateway.v1.admin_service_pb2 import ListDeadLettersRequest

        request = ListDeadLettersRequest(topic=topic, page_size=size, page_token=token)
        page = await client.admin.ListDeadLetters(request)
        return [_listed(letter) for letter in page.letters], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


@app.command()
def show(
    letter: LetterArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows a dead letter with its headers and its content, as JSON or else the first 4,096 bytes in hex."""
    name = _parsed(letter)

    async def work(client: Client) -> Record:
        from drydock.gateway.v1.admin_service_pb2 import GetDeadLetterRequest

        answer = await client.admin.GetDeadLetter(GetDeadLetterRequest(name=_to_name(name)))
        return {
            **_listed(answer.letter),
            "headers": dict(sorted(answer.headers.items())),
            "json": answer.json,
            "value": answer.value.hex(),
        }

    shown(work, server=server, data=data, output=output)


@app.command()
def replay(
    letter: LetterArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Sends a dead letter to its topic again, once what refused it has been mended.

    Every group of the topic gets it; those that have handled it know it by its id. It also stays where it is.

    Example: drydock dead-letter replay drydock.image.events.v1:3:17
    """
    name = _parsed(letter)

    async def work(client: Client) -> Record:
        from drydock.gateway.v1.admin_service_pb2 import ReplayDeadLetterRequest

        return to_record(await client.admin.ReplayDeadLetter(ReplayDeadLetterRequest(name=_to_name(name))))

    shown(work, server=server, data=data, output=output)


def _listed(letter: pb.DeadLetter) -> Record:
    name = letter.name
    return {"letter": f"{name.topic}:{name.partition}:{name.position}", **to_record(letter)}


def _parsed(letter: str) -> tuple[str, int, str]:
    topic, _, place = letter.partition(":")
    partition, _, position = place.partition(":")
    if not topic or not position or not partition.isascii() or not partition.isdecimal() or len(partition) > 9:
        raise typer.BadParameter("it is TOPIC:PARTITION:POSITION, as `drydock dead-letter list` tells it")
    return topic, int(partition), position


def _to_name(name: tuple[str, int, str]) -> pb.DeadLetterName:
    from drydock.gateway.v1.admin_service_pb2 import DeadLetterName

    topic, partition, position = name
    return DeadLetterName(topic=topic, partition=partition, position=position)
