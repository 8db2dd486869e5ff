"""The options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.duration import parse_duration
from services.cli.output import Output
from services.kernel.data_dir import DEFAULT_DATA_DIR

DEFAULT_SERVER = "127.0.0.1:7070"
DEFAULT_DATA = DEFAULT_DATA_DIR

ServerOption = Annotated[
    str,
    typer.Option(
        "--server",
        envvar="DRYDOCK_SERVER",
        metavar="HOST:PORT",
        help="The gateway. The token comes from DRYDOCK_TOKEN, else from DATA/admin.token; "
        "with DRYDOCK_TLS_CA (a PEM file, or system) it speaks TLS.",
    ),
]
DataOption = Annotated[
    Path,
    typer.Option("--data", envvar="DRYDOCK_DATA_DIR", metavar="DIR", help="The data directory of `drydock up`."),
]
OutputOption = Annotated[Output, typer.Option("--output", help="A table for people or JSON for programs.")]
WaitOption = Annotated[
    float | None,
    typer.Option(
        "--wait", parser=parse_duration, metavar="TIME", help="Wait for the end, at most so long: 90s, 5m, 2h."
    ),
]
_ENGINE = "security-center|trivy"
_ENGINES = "security-center|trivy|all"
EngineOption = Annotated[
    str, typer.Option("--engine", metavar=_ENGINES, help="Who scans; the instance's own by default.")
]
SaidByOption = Annotated[
    str, typer.Option("--engine", metavar=_ENGINES, help="What this engine says; by default the last scan.")
]
OwnEngineOption = Annotated[
    str, typer.Option("--engine", metavar=_ENGINE, help="Who scans its images; by default the best there is.")
]
ScanEngineOption = Annotated[
    str, typer.Option("--engine", metavar=_ENGINES, help="Who scans; with all, both do and give one verdict.")
]
PasswordOption = Annotated[bool, typer.Option("--password-stdin", help="Read the password from standard input.")]
InstanceArgument = Annotated[str, typer.Argument(metavar="INSTANCE", help="Name or id of the instance.")]
ImageArgument = Annotated[
    str, typer.Argument(metavar="IMAGE", help="NAMESPACE/REPO:TAG or NAMESPACE/REPO@DIGEST.")
]


def examples(*commands: str) -> str:
    """Writes the end of a command's help: a line for each example, which no terminal's width breaks."""
    return "\n".join(("\b", "Examples:", *(f"  {command}" for command in commands)))
