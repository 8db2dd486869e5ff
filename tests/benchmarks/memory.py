"""Memory of a program and all that it starts: the highest sum of their proportional shares (PSS)."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

_EVERY_SECONDS: Final = 0.02
_PSS = re.compile(rb"^Pss:\s+(\d+) kB$", re.MULTILINE)


def peak_pss(command: Sequence[str | Path]) -> int:
    """Runs the command to its end and returns bytes; what lasts no longer than a look apart may be missed."""
    peak = 0
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            peak = max(peak, sum(map(_pss, _tree(process.pid))))
            time.sleep(_EVERY_SECONDS)
    if process.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    return peak


def resident(*words: str) -> int:
    """Returns the bytes (PSS) of the process below ours whose command has these words."""
    for process in _tree(os.getpid()):
        command = Path(f"/proc/{process}/cmdline").read_text().split("\0")
        if all(any(Path(part).name == word for part in command) for word in words):
            return _pss(process)
    raise RuntimeError(f"there is no process {' '.join(words)}")


def _tree(root: int) -> Iterator[int]:
    pending = [root]
    while pending:
        process = pending.pop()
        yield process
        with contextlib.suppress(OSError):  # it may end while we look
            for children in Path(f"/proc/{process}/task").glob("*/children"):
                pending += map(int, children.read_text().split())


def _pss(process: int) -> int:
    with contextlib.suppress(OSError):
        found = _PSS.search(Path(f"/proc/{process}/smaps_rollup").read_bytes())
        return int(found[1]) * 1024 if found else 0
    return 0
