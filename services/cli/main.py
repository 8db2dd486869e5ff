"""The console script `drydock`: finds the command that was typed and loads nothing else."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context


class _Entry(NamedTuple):
    module: str
    summary: str


_COMMANDS: Mapping[str, _Entry] = MappingProxyType(
    {
        "demo": _Entry("demo.command", "Shows one scan from push to notification."),
        "up": _Entry("up", "Runs every service on this machine, database included."),
        "serve": _Entry("serve", "Runs one service as a process of its own."),
        "migrate": _Entry("migrate", "Brings the database up to this release."),
        "scan": _Entry("scan", "Scans one image here and now, without a server."),
        "instance": _Entry("instance", "Registries that Drydock looks after."),
        "rule": _Entry("rule", "Scan rules: what is scanned, when, and who is told."),
        "event-rule": _Entry("event_rule", "Event rules: who is told of an instance's scans."),
        "delivery": _Entry("delivery", "Deliveries: what became of notifications."),
        "target": _Entry("target", "Targets: who is told."),
        "task": _Entry("task", "Scan tasks: start, watch, call off, try again."),
        "status": _Entry("status", "Tells where the scan of an image stands."),
        "gate": _Entry("gate", "Tells whether an image may pass."),
        "fix": _Entry("fix", "Repaired images: preview, make, follow, put back."),
        "findings": _Entry("findings", "What is wrong with an image."),
        "report": _Entry("report", "Prints all that the last scan of an image says."),
        "key": _Entry("key", "Access keys of the gateway."),
        "audit": _Entry("audit", "Lists who changed what."),
        "dead-letter": _Entry("dead_letter", "What no consumer could read: list, show, replay."),
        "advisories": _Entry("advisories", "The advisory file: import, update, status."),
        "version": _Entry("version", "Tells the version."),
    }
)
"""Module below `services.cli` and the line that `drydock --help` shows, in that order."""


class _LazyGroup(TyperGroup):
    """A group whose commands are known by name and summary, and imported when one of them runs."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, entry in _COMMANDS.items():
            self.add_command(TyperCommand(name, help=entry.summary), name)

    def resolve_command(self, ctx: Context, args: list[str]) -> tuple[str | None, Command | None, list[str]]:
        name, known, rest = super().resolve_command(ctx, args)
        if name is None or known is None:
            return name, known, rest
        module = importlib.import_module(f"services.cli.{_COMMANDS[name].module}")
        return name, get_command(module.app), rest


app = typer.Typer(
    cls=_LazyGroup,
    name="drydock",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def drydock() -> None:
    """Inspects container images: notices pushes, scans, judges, tells.

    Exit status: 0 done and the gate passed; 1 the gate did not pass, or a call failed; 2 wrong usage; 3 the image
    could not be scanned; 4 the server could not be reached; 5 the gate cannot decide.
    """


def main() -> None:
    """Runs the command line and exits with its status."""
    # Our children are spawned and never use grpc: it need not prepare for forks, nor warn of them.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    # A reader that goes away (`drydock … | head`) is no failure of ours.
    try:
        app()
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
