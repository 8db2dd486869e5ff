"""`drydock instance engines|activate|switch`: who scans an instance's images, and what that needs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.connect import Client, call
from services.cli.failure import Exit
from services.cli.options import (
    DEFAULT_DATA,
    DEFAULT_SERVER,
    DataOption,
    InstanceArgument,
    OutputOption,
    ServerOption,
)
from services.cli.output import Output, console_for, print_json, table_of, to_record

if TYPE_CHECKING:
    from drydock.rules.v1.engine_pb2 import ScanEngine

EngineArgument = Annotated[
    str, typer.Argument(metavar="ENGINE", help="security-center or trivy.", show_default=False)
]
_TITLES = ("ENGINE", "IN USE", "STATE", "CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE")


def engines(
    instance: InstanceArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Shows both engines of an instance, and everything that each of them waits for."""

    async def work(client: Client) -> list[ScanEngine]:
        from drydock.rules.v1.rules_service_pb2 import ListScanEnginesRequest

        return list((await client.rules.ListScanEngines(ListScanEnginesRequest(instance=instance))).engines)

    found = call(work, server=server, data=data, output=output)
    if output is Output.JSON:
        print_json([to_record(engine) for engine in found])
    else:
        _show(found)


def activate(
    instance: InstanceArgument,
    engine: EngineArgument,
    *,
    authorize: Annotated[
        bool,
        typer.Option("--authorize", help="Let the engine look into the images; recorded with your key's name."),
    ] = False,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Checks all that an engine needs right now, the registry and its credentials among it, and shows it.

    Exit status: 0 the engine is ACTIVE, 1 something is missing. It is not switched to: see `instance switch`.
    """

    async def work(client: Client) -> ScanEngine:
        from drydock.rules.v1.rules_service_pb2 import ActivateScanEngineRequest

        request = ActivateScanEngineRequest(instance=instance, engine=engine, authorize=authorize)
        return (await client.rules.ActivateScanEngine(request)).engine

    _show_one(call(work, server=server, data=data, output=output), output)


def switch(
    instance: InstanceArgument,
    engine: EngineArgument,
    *,
    output: OutputOption = Output.TABLE,
    server: ServerOption = DEFAULT_SERVER,
    data: DataOption = DEFAULT_DATA,
) -> None:
    """Makes an engine the one that scans an instance's images, from the next scan on.

    One that is not ready is refused, with what it lacks. Scans under way finish on theirs, and their reports stay.
    """

    async def work(client: Client) -> ScanEngine:
        from drydock.rules.v1.rules_service_pb2 import SwitchScanEngineRequest

        request = SwitchScanEngineRequest(instance=instance, engine=engine)
        return (await client.rules.SwitchScanEngine(request)).engine

    _show_one(call(work, server=server, data=data, output=output), output, switched=True)


def _show_one(engine: ScanEngine, output: Output, *, switched: bool = False) -> None:
    record = to_record(engine)
    if output is Output.JSON:
        print_json(record)
    else:
        _show([engine])
    if not switched and record["state"] != "ACTIVE":
        raise typer.Exit(int(Exit.FAILED))


def _show(found: Sequence[ScanEngine]) -> None:
    """Prints a line for each condition; what is said of the engine stands in its first one."""
    rows: list[tuple[object, ...]] = []
    for engine in found:
        record = to_record(engine)
        head: tuple[object, ...] = (record["engine"], record["in_use"], record["state"])
        for condition in engine.conditions:
            each = to_record(condition)
            since = f"{condition.last_transition_time.ToDatetime():%Y-%m-%dT%H:%M:%SZ}"
            rows.append((*head, each["type"], each["status"], since, each["reason"], each["message"]))
            head = (" ", " ", " ")
    console_for(sys.stdout).print(table_of(_TITLES, rows))
