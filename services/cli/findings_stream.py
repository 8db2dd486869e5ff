"""`drydock findings follow` and `export`: the stream of findings, a line for each event."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from services.cli.connect import CALL_SECONDS, Client, call
from services.cli.duration import parse_duration
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, ServerOption
from services.cli.output import Output, console_for, styled

_LOOK_SECONDS = 1.0
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ].+)?")


class Lines(enum.Enum):
    """What a line is."""

    TABLE = "table"
    NDJSON = "ndjson"


LinesOption = Annotated[Lines, typer.Option("--output", help="A line for people, or a CloudEvent as JSON.")]


def follow(
    *,
    since: Annotated[
        str,
        typer.Option("--from", metavar="WHEN", help="beginning, now, a time ago (2h), or a moment in RFC 3339."),
    ] = "now",
    once: Annotated[bool, typer.Option("--once", help="Stop where there is no more.")] = False,
    output: LinesOption = Lines.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Follows what is found, changes and is over, in every image.

    The same events as on the topic drydock.findings.v1 (docs/findings-stream.md). What is interrupted goes on with
    --from a moment shortly before its last line: an event that comes twice has the same id.

    Example: drydock findings follow --from 2h --output ndjson
    """
    moment = moment_of(since, datetime.now(UTC))

    async def work(client: Client) -> None:
        from drydock.scanner.v1.scanner_service_pb2 import ReadFindingEventsRequest

        cursor = ""
        while True:
            request = ReadFindingEventsRequest(cursor=cursor)
            if moment is not None and not cursor:
                request.since.FromDatetime(moment)
            answer = await client.scanner.ReadFindingEvents(request, timeout=CALL_SECONDS)
            cursor = answer.cursor or cursor
            _print(answer.events, output)
            if not answer.events:
                if once:
                    return
                await asyncio.sleep(_LOOK_SECONDS)

    with contextlib.suppress(KeyboardInterrupt):
        call(work, server=server, data=data, output=_failures(output))


def export(
    *,
    instance: Annotated[
        str, typer.Option("--instance", metavar="INSTANCE", help="Only findings of this one, by name or id.")
    ] = "",
    output: LinesOption = Lines.NDJSON,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Prints every finding that is open in the stream, each as the event that tells it.

    What the compacted topic drydock.findings.state.v1 holds, without a broker.

    Example: drydock findings export --instance prod > open.ndjson
    """

    async def work(client: Client) -> None:
        from drydock.scanner.v1.scanner_service_pb2 import ListOpenFindingsRequest

        token = ""
        while True:
            request = ListOpenFindingsRequest(instance=instance, page_token=token)
            page = await client.scanner.ListOpenFindings(request, timeout=CALL_SECONDS)
            _print(page.events, output)
            token = page.next_page_token
            if not token:
                return

    call(work, server=server, data=data, output=_failures(output))


def moment_of(text: str, now: datetime) -> datetime | None:
    """Reads where to begin; None for the beginning.

    Raises:
        typer.BadParameter: it is written in another way.
    """
    if text == "beginning":
        return None
    if text == "now":
        return now
    if not _MOMENT.fullmatch(text):
        return now - timedelta(seconds=parse_duration(text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:40]!r} is no moment. Write 2026-01-31T12:00:00Z.") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def line_for_people(event: Mapping[str, object]) -> str:
    """Says in one line what an event tells."""
    said = msgspec.convert(event, _Event)
    return f"{said.time}  {said.data.activity_name:<6}  {said.data.severity:<8}  {said.data.message}"


class _Data(msgspec.Struct):
    activity_name: str
    severity: str
    message: str


class _Event(msgspec.Struct):
    time: str
    data: _Data


def _print(events: Iterable[bytes], output: Lines) -> None:
    if output is Lines.NDJSON:
        for event in events:
            sys.stdout.write(event.decode() + "\n")
        sys.stdout.flush()
        return
    console = console_for(sys.stdout)
    for event in events:
        console.print(styled(line_for_people(msgspec.json.decode(event)), ""), soft_wrap=True)


def _failures(output: Lines) -> Output:
    return Output.JSON if output is Lines.NDJSON else Output.TABLE
