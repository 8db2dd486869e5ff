"""The console script `drydock`: what comes before the command line is imported, and after it has ended."""

from __future__ import annotations

import os
import sys

from services.cli import head_start
from services.kernel.workers.garbage import look_seldom


def main() -> None:
    """Runs the command line and exits with its status.

    A scan lives for less than a second: its workers begin to import before the command line does, and nothing is
    taken apart at the end.
    """
    scans = _scans(sys.argv[1:])
    if scans:
        look_seldom()
        head_start.take()
    from services.cli.main import main as run

    try:
        run()
    except SystemExit as end:
        if not scans or not isinstance(end.code, int | None):
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(end.code or 0)


def _scans(words: list[str]) -> bool:
    """Tells whether the command scans in this process."""
    command, *others = words or [""]
    here = any(word.partition("=")[0] == "--local" for word in others)
    return (command == "scan" or (command == "gate" and here)) and "--help" not in others


if __name__ == "__main__":
    main()
