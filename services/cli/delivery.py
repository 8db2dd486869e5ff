"""`drydock delivery`: what became of notifications, and the dead ones once more."""

from __future__ import annotations

import enum
import json
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from services.cli.connect import Client, call, listed, shown
from services.cli.duration import parse_duration
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption
from services.cli.output import Output, Record, show_lines, show_record, show_records, to_record

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Deliveries: what became of notifications.",
)

_COLUMNS = ("create_time", "delivery_id", "target", "event", "state", "attempts", "reason", "message")
_TRIES = ("time", "attempt", "outcome", "http_status", "milliseconds", "reason", "message", "excerpt")
_MOST_AT_ONCE = 1000


class StateWord(enum.Enum):
    """States as they are typed."""

    HELD = "held"
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"
    MERGED = "merged"


@app.command("list")
def list_(
    *,
    target: Annotated[str, typer.Option(metavar="TARGET", help="Only those to this target, by name or id.")] = "",
    state: Annotated[StateWord | None, typer.Option(help="Only those that stand so.")] = None,
    since: Annotated[
        float | None,
        typer.Option(parser=parse_duration, metavar="TIME", help="Only those of the last 2h, 7d, …"),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists deliveries, newest first.

    Example: drydock delivery list --state dead --since 1d
    """
    now = datetime.now(UTC)

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.notifier.v1 import delivery_pb2 as pb

        request = pb.ListDeliveriesRequest(target=target, page_size=size, page_token=token)
        if state is not None:
            request.state = pb.DeliveryState.Value(f"DELIVERY_STATE_{state.name}")
        if since is not None:
            request.since.FromDatetime(now - timedelta(seconds=since))
        page = await client.notifier.ListDeliveries(request)
        return [to_record(each) for each in page.deliveries], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)


@app.command()
def show(
    delivery: Annotated[str, typer.Argument(metavar="DELIVERY", help="Id of the delivery.")],
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows a delivery with what is sent and what became of each attempt."""

    async def work(client: Client) -> tuple[Record, list[Record], Record]:
        from drydock.notifier.v1.delivery_pb2 import GetDeliveryRequest

        answer = await client.notifier.GetDelivery(GetDeliveryRequest(delivery_id=delivery))
        return to_record(answer.delivery), [to_record(each) for each in answer.attempts], json.loads(answer.body)

    record, tries, body = call(work, server=server, data=data, output=output)
    if output is Output.JSON:
        show_record(output, {**record, "tries": tries, "body": body})
        return
    show_record(output, record)
    if tries:
        show_lines([""])
        show_records(output, tries, _TRIES)
    show_lines(["", *json.dumps(body, indent=2, ensure_ascii=False).splitlines()])


@app.command()
def replay(
    delivery: Annotated[str | None, typer.Argument(metavar="DELIVERY", help="Id of a dead delivery.")] = None,
    *,
    target: Annotated[str, typer.Option(metavar="TARGET", help="All dead deliveries to this target.")] = "",
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Sends a dead delivery again, or all of a target, once what refused it has been mended.

    The receiver gets the same id and the same body as before; attempts and age are counted anew.

    Example: drydock delivery replay --target chat
    """
    if bool(delivery) == bool(target):
        raise typer.BadParameter("name either a delivery or a target")

    async def work(client: Client) -> Record:
        from drydock.notifier.v1 import delivery_pb2 as pb

        if delivery:
            request = pb.ReplayDeliveryRequest(delivery_id=delivery)
            return to_record((await client.notifier.ReplayDelivery(request)).delivery)
        count, more = 0, True
        while more:
            part = await client.notifier.ReplayDeliveries(pb.ReplayDeliveriesRequest(target=target))
            count += part.count
            more = part.count >= _MOST_AT_ONCE
        return {"replayed": count}

    shown(work, server=server, data=data, output=output)
