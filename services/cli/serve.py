"""`drydock serve`: one service as a process of its own, or a look at whether it could be one."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import Exit, flattened, reported
from services.cli.options import DEFAULT_DATA, DataOption, OutputOption
from services.cli.output import Output, Record, announce, console_for, print_json, show_records, styled
from services.processes.roles import Role

if TYPE_CHECKING:
    from services.kernel.run import Process
    from services.processes.plan import Plan

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def serve(
    role: Annotated[Role, typer.Argument(metavar="rules|scanner|fixer|notifier|gateway", help="Which service.")],
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only tell the settings and whether all that is needed is there.")
    ] = False,
    data: DataOption = DEFAULT_DATA,
    grpc: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where it listens.  [default: 7071 to 7074; gateway 7070]"),
    ] = None,
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="The gateway's HTTP door.  [default: 127.0.0.1:7080]")
    ] = None,
    monitoring: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Metrics and probes.  [default: 7091 to 7094; gateway 7095]"),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Runs one service until a signal ends it; any number of copies may share a database.

    DRYDOCK_DATABASE_URL names the PostgreSQL, which `drydock migrate` has brought up to date. Beyond one machine
    processes know each other by DRYDOCK_SERVICE_TOKEN or by mutual TLS. Work in hand is finished within
    DRYDOCK_DRAIN_SECONDS after the first SIGTERM or Ctrl-C; a second one ends at once.

    Example: drydock serve scanner --grpc 0.0.0.0:7072 --data /var/lib/drydock
    """
    with reported(output):
        from services.processes.plan import read_plan

        plan = read_plan(role, data=data, grpc=grpc, http=http, monitoring=monitoring)
        if check:
            _check(plan, output)
        else:
            _run(plan)


def _run(plan: Plan) -> None:
    from services.kernel.log import configure_logs
    from services.kernel.run import run
    from services.processes.compose import compose

    configure_logs(level=plan.kernel.log_level)

    @asynccontextmanager
    async def announced(process: Process) -> AsyncIterator[None]:
        async with compose(process, plan) as running:
            if running is not None:
                announce(gRPC=running.grpc, HTTP=running.http, metrics=running.monitoring)
            yield

    with flattened():
        run(announced, drain_seconds=plan.kernel.drain_seconds)


def _check(plan: Plan, output: Output) -> None:
    import asyncio
    import dataclasses

    from services.kernel.log import configure_logs
    from services.processes.check import checks_of, settings_of

    configure_logs(level="error")  # what was found is what is printed
    settings = [dataclasses.asdict(setting) for setting in settings_of(plan)]
    checks = [dataclasses.asdict(check) for check in asyncio.run(checks_of(plan))]
    good = all(check["ok"] for check in checks)
    if output is Output.JSON:
        print_json({"role": plan.role.value, "ok": good, "settings": settings, "checks": checks})
    else:
        _show("SETTINGS", settings, ("name", "value", "origin"))
        _show("CHECKS", checks, ("name", "ok", "detail"))
    if not good:
        raise typer.Exit(int(Exit.FAILED))


def _show(title: str, records: Sequence[Record], columns: Sequence[str]) -> None:
    console_for(sys.stdout).print(styled(title, "bold"))
    show_records(Output.TABLE, records, columns)
