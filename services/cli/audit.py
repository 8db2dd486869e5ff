"""`drydock audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

import typer

from services.cli.connect import Client, listed
from services.cli.options import DEFAULT_DATA, DEFAULT_SERVER, DataOption, OutputOption, ServerOption, examples
from services.cli.output import Output, Record, to_record

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_COLUMNS = ("record_time", "actor", "action", "instance", "subject", "outcome")


@app.command(epilog=examples("drydock audit --limit 20", "drydock audit --instance prod --output json"))
def audit(
    *,
    instance: Annotated[str, typer.Option(metavar="INSTANCE", help="Only what was done to this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Lists who changed what, newest first: every call that does not only read, refused ones too."""

    async def fetch(client: Client, size: int, token: str) -> tuple[list[Record], str]:
        from drydock.gateway.v1.admin_service_pb2 import ListAuditRecordsRequest

        request = ListAuditRecordsRequest(instance=instance, page_size=size, page_token=token)
        page = await client.admin.ListAuditRecords(request)
        return [to_record(record) for record in page.records], page.next_page_token

    listed(fetch, _COLUMNS, server=server, data=data, output=output, limit=limit)
