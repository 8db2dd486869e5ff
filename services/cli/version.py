"""`drydock version`."""

from __future__ import annotations

import platform

import typer

from services.cli.options import OutputOption
from services.cli.output import Output, show_record
from services.kernel.release import VERSION

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
def version(output: OutputOption = Output.TABLE) -> None:
    """Tells the version of Drydock and of the Python that it runs on."""
    show_record(output, {"version": VERSION, "python": platform.python_version()})
