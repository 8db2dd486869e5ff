"""`drydock up`: every service on this machine, database included."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import flattened, reported
from services.cli.options import DEFAULT_DATA, DataOption
from services.cli.output import Output, console_for, styled

if TYPE_CHECKING:
    from services.gateway.settings import GatewaySettings
    from services.kernel.run import Process
    from services.kernel.settings import KernelSettings
    from services.standalone import Running

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
        settings, doors = read_settings(
            data.expanduser(), grpc=grpc, http=http, database_url=database_url, kafka=kafka
        )
        from services.kernel.log import configure_logs
        from services.kernel.run import run
        from services.standalone import compose

        configure_logs(level=settings.log_level)

        @asynccontextmanager
        async def announced(process: Process) -> AsyncIterator[None]:
            async with compose(process, settings, doors) as running:
                _announce(running)
                yield

        with flattened():
            run(announced, drain_seconds=settings.drain_seconds)


def read_settings(
    data: Path,
    *,
    grpc: str | None,
    http: str | None,
    database_url: str | None,
    kafka: str | None = None,
    monitoring: str | None = None,
) -> tuple[KernelSettings, GatewaySettings]:
    """Returns what the environment says, under what the command line says.

    Raises:
        ServiceError: INVALID_SETTING naming the setting; never its value, which may be a secret.
    """
    from pydantic import ValidationError

    from services.gateway.settings import GatewaySettings
    from services.kernel.settings import KernelSettings, invalid_setting

    listen = {"grpc_listen": grpc, "http_listen": http, "monitoring_listen": monitoring}
    try:
        named = {"database_url": database_url, "kafka": kafka}
        kernel = KernelSettings.model_validate(
            {"data_dir": data} | {key: value for key, value in named.items() if value is not None}
        )
        gateway = GatewaySettings.model_validate(
            {key: value for key, value in listen.items() if value is not None}
        )
    except ValidationError as error:
        raise invalid_setting(error) from error
    return kernel, gateway


def _announce(running: Running) -> None:
    console = console_for(sys.stdout)
    for name, value in (
        ("gRPC", running.grpc),
        ("HTTP", running.http),
        ("metrics", running.monitoring),
        ("token", str(running.admin_token_file)),
    ):
        console.print(styled(name.ljust(9), "dim").append_text(styled(value, "")), soft_wrap=True)
    sys.stdout.flush()
