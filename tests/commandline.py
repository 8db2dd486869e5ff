"""Runs the console script as a process of its own, as people do."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("drydock")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What came of a run."""

    status: int
    stdout: str
    stderr: str

    @property
    def json(self) -> Any:
        """Standard output as JSON."""
        return json.loads(self.stdout)

    @property
    def error(self) -> Any:
        """The error object of `--output json`."""
        return json.loads(self.stderr)["error"]


async def drydock(
    *arguments: str, env: Mapping[str, str] | None = None, stdin: str = "", seconds: float = 60
) -> Ran:
    """Runs `drydock` with an environment that holds nothing of ours but `env`."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DRYDOCK_")}
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**clean, **(env or {})},
    )
    try:
        async with asyncio.timeout(seconds):
            stdout, stderr = await process.communicate(stdin.encode())
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return Ran(status=process.returncode or 0, stdout=stdout.decode(), stderr=stderr.decode())
