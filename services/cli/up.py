"""`drydock up`: every service on this machine, database included."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import flattened, reported
from services.cli.options import DEFAULT_DATA, DataOption
from services.cli.output import Output, announce

if TYPE_CHECKING:
    from services.kernel.run import Process

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def up(
    *,
    data: DataOption = DEFAULT_DATA,
    grpc: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The gRPC door.  [default: 127.0.0.1:7070]")
    ] = None,
    http: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="The HTTP door, for webhooks.  [default: 127.0.0.1:7080]"),
    ] = None,
    monitoring: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Metrics and probes.  [default: 127.0.0.1:7095]")
    ] = None,
    kafka: Annotated[
        str | None,
        typer.Option(
            metavar="embedded|HOST:PORT",
            help="The bus: a Kafka broker of Drydock's own, or yours; PostgreSQL when unset. As DRYDOCK_KAFKA.",
        ),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A PostgreSQL of your own, better given as DRYDOCK_DATABASE_URL."),
    ] = None,
) -> None:
    """Runs every service until a signal ends it; without a database URL, with an embedded PostgreSQL.

    Work in hand is finished within DRYDOCK_DRAIN_SECONDS after the first SIGTERM or Ctrl-C; a
    second one ends at once.
    The administrator's token lies in DATA/admin.token, where the other commands look for it.
    """
    with reported(Output.TABLE):
        from services.kernel.log import configure_logs
        from services.kernel.run import run
        from services.settings import read_settings
        from services.standalone import compose

        settings, doors = read_settings(
            data.expanduser(),
            grpc=grpc,
            http=http,
            monitoring=monitoring,
            database_url=database_url,
            kafka=kafka,
        )
        configure_logs(level=settings.log_level)

        @asynccontextmanager
        async def announced(process: Process) -> AsyncIterator[None]:
            async with compose(process, settings, doors) as running:
                announce(
                    gRPC=running.grpc,
                    HTTP=running.http,
                    metrics=running.monitoring,
                    token=str(running.admin_token_file),
                )
                yield

        with flattened():
            run(announced, drain_seconds=settings.drain_seconds)
