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
    scans = sys.argv[1:2] == ["scan"] and "--help" not in sys.argv
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


if __name__ == "__main__":
    main()
