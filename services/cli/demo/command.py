"""`drydock demo`: runs everything in a folder of its own, plays the story, and cleans up."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from services.cli.failure import flattened, reported
from services.cli.output import Output, console_for, styled

if TYPE_CHECKING:
    from services.cli.demo.narrator import Narrator

app = typer.Typer(add_completion=False, rich_markup_mode=None)

_DRAIN_SECONDS = 2.0
_NEXT = (
    ("drydock up", "runs Drydock for good, on this machine"),
    ("drydock instance create NAME --address HOST", "registers your registry; prints the webhook for it"),
    ("drydock scan HOST/REPO:TAG", "scans one image without any server"),
    ("drydock advisories update", "fetches all advisories in place of the sample"),
)


@app.command()
def demo(
    *,
    fix: Annotated[bool, typer.Option("--fix", help="Show how an image is repaired, and that it is.")] = False,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the demo's folder behind.")] = False,
) -> None:
    """Shows one scan from push to notification, with every service running on this machine.

    With --fix it shows a fix instead: an image is scanned, repaired, pushed, and scanned again.

    Needs nothing but the package index, from which it fetches a few old wheels the first time. Everything else is
    made in a temporary folder, which is removed at the end.
    """
    from services.cli.demo.narrator import Narrator
    from services.kernel.clock import SystemClock

    narrator = Narrator(console_for(sys.stdout), SystemClock())
    with reported(Output.TABLE), _folder(narrator, keep=keep) as data, flattened():
        _play(data, narrator, fix=fix)
    narrator.gap()
    narrator.console.print(styled("That was all of it. What to do next:", "bold"))
    width = max(len(command) for command, _ in _NEXT)
    for command, what in _NEXT:
        narrator.console.print(styled(f"  {_way(command).ljust(width + 10)}  {what}", ""), soft_wrap=True)
    narrator.console.print(styled("README.md says more.", "dim"))


def _play(data: Path, narrator: Narrator, *, fix: bool) -> None:
    """Runs the services and the story in one event loop.

    Raises:
        ServiceError: a step failed, a service could not start, or a signal ended it all.
    """
    narrator.tell("starting an embedded PostgreSQL and every service of Drydock")
    narrator.detail(f"in {data}, a folder of the demo's own")
    import uvloop

    from services.cli.demo.checks import step_failed
    from services.cli.demo.fix_story import tell_fix_story
    from services.cli.demo.play import Play
    from services.cli.demo.story import tell_story
    from services.kernel.log import configure_logs
    from services.kernel.run import live

    play = Play(data, narrator, tell_fix_story if fix else tell_story)
    with (data / "drydock.log").open("w") as log:
        configure_logs(stream=log, as_json=True)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(live(play.compose, drain_seconds=_DRAIN_SECONDS, until=play.stopping))
        configure_logs()
    if not play.ended:
        raise step_failed("the end", "a signal stopped it")


@contextmanager
def _folder(narrator: Narrator, *, keep: bool) -> Iterator[Path]:
    """Makes the demo's folder; removes it at the end, with what PostgreSQL keeps elsewhere as root."""
    from services.kernel.embedded.account import root_home_of

    # Until the event loop takes signals over, SIGTERM must not pass the cleaning up by.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    data = Path(tempfile.mkdtemp(prefix="drydock-demo-"))
    try:
        yield data
    finally:
        homes = [root_home_of(data), data] if os.geteuid() == 0 else [data]
        for home in filter(Path.exists, homes):
            if keep:
                narrator.tell(f"kept {home}")
            else:
                shutil.rmtree(home)


def _way(command: str) -> str:
    """Writes the command as it can be typed: with its folder where PATH does not lead to it."""
    program = Path(sys.argv[0])
    found = shutil.which("drydock")
    if found and Path(found).resolve() == program.resolve():
        return command
    near = program.resolve()
    folder = near.parent.relative_to(Path.cwd()) if near.is_relative_to(Path.cwd()) else near.parent
    return f"{folder}/{command}"
