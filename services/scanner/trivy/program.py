"""The program: where it is, and which version it says it is."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import re
import shutil
import signal
from pathlib import Path
from typing import Final, cast

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.settings import TrivySettings

_ANSWER_SECONDS: Final = 10.0
_MAX_ANSWER: Final = 64 << 10
_VERSION = re.compile(rb"^Version: v?([0-9A-Za-z.+_-]{1,64})\s*$", re.MULTILINE)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A Trivy that can be run."""

    path: Path
    version: str


class ProgramFinder:
    """Finds the program; each file that is put in its place is asked for its version once."""

    def __init__(self, settings: TrivySettings) -> None:
        self._settings = settings
        self._known: tuple[object, Program] | None = None

    async def find(self) -> Program:
        """Returns the program as it is now.

        Raises:
            ScanFailure: TRIVY_MISSING.
        """
        path = _locate(self._settings)
        try:
            seen = path.stat()
        except OSError as error:
            raise _missing(f"{path} cannot be read: {error.strerror}.") from error
        file = (path, seen.st_ino, seen.st_mtime_ns, seen.st_size)
        if self._known is None or self._known[0] != file:
            self._known = (file, Program(path=path, version=await _version(path)))
        return self._known[1]


def _locate(settings: TrivySettings) -> Path:
    named = settings.trivy.expanduser() if settings.trivy is not None else None
    found = shutil.which(named or "trivy")
    if found is None:
        raise _missing(f"{named} is no program that can be run." if named else "There is no trivy on PATH.")
    return Path(found).absolute()


async def _version(path: Path) -> str:
    """Asks in an environment of nobody's, so that no configuration of Trivy's is read."""
    try:
        process = await asyncio.create_subprocess_exec(
            path,
            "--version",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"HOME": os.devnull, "PATH": os.defpath, "TRIVY_CACHE_DIR": os.devnull},
            cwd="/",
        )
    except OSError as error:
        raise _missing(f"{path} cannot be run: {error.strerror}.") from error
    answer = cast("asyncio.StreamReader", process.stdout)
    said = b""
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            while len(said) < _MAX_ANSWER and (piece := await answer.read(_MAX_ANSWER)):
                said += piece
            await process.wait()
    except TimeoutError as error:
        raise _missing(f"{path} did not tell its version within {_ANSWER_SECONDS:.0f} seconds.") from error
    finally:
        if process.returncode is None:
            # Not `process.kill()`: it would take the end of one that has just ended away from asyncio.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
            await process.wait()
    version = _VERSION.search(said)
    if version is None:
        raise _missing(f"{path} does not say which version of Trivy it is.")
    return version[1].decode("ascii")


def _missing(message: str) -> ScanFailure:
    return ScanFailure(
        Reason.TRIVY_MISSING,
        message,
        hint="Install Trivy 0.72, or `make trivy`, and name the program in DRYDOCK_TRIVY.",
    )
