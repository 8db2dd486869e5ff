"""`drydock version`."""

from __future__ import annotations

import platform
from importlib import metadata

import typer

from services.cli.options import OutputOption
from services.cli.output import Output, show_record

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def version(output: OutputOption = Output.TABLE) -> None:
    """Tells the version of Drydock and of the Python that it runs on."""
    show_record(output, {"version": metadata.version("drydock"), "python": platform.python_version()})
