"""One run of Trivy: in a folder and an environment of its own, for a bounded time, killed with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

from services.kernel.reasons import Reason, ScanFailure
from services.scanner.reading.complaints import shown

_HEAD_BYTES: Final = 128 << 10
_TAIL_BYTES: Final = 16 << 10
_READ_BYTES: Final = 16 << 10
_LAST_WORDS_SECONDS: Final = 1.0
"""For what is left in the pipe: somebody whom Trivy started may hold it open for ever."""
_MAX_SHOWN: Final = 400
_JAVA: Final = "--skip-java-db-update' cannot be specified on the first run"
_BROKEN_DATABASE: Final = (
    "vulnerability DB initialize",
    "--skip-db-update cannot be",
    "db corrupted",
    "invalid database",
)
_GO_DIED: Final = ("panic:", "fatal error:", "unexpected fault address")
"""How a program in Go says what it died of, before many lines of where."""
_SERVER_AWAY: Final = ("connection refused", "no such host", "i/o timeout", "failed to do request", "EOF")


async def run_trivy(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, seconds: float
) -> str:
    """Runs the command in the folder and returns what it said on standard error, the middle of much left out.

    Cancelling kills it. What it holds when this returns, or raises, it holds no longer: its group is dead.

    Raises:
        ScanFailure: TRIVY_MISSING, TRIVY_TIMED_OUT, TRIVY_KILLED, TRIVY_JAVA_DATABASE_MISSING,
            TRIVY_DATABASE_BROKEN, TRIVY_SERVER_UNREACHABLE, TRIVY_FAILED.
    """
    reading, writing = os.pipe()
    said = _Said()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        process = await _start(command, environment, folder, writing)
        listening = asyncio.create_task(said.listen(pipe), name=f"trivy-{process.pid}")
        try:
            async with asyncio.timeout(seconds):
                code = await process.wait()
            # Not asyncio's own pipe: whom Trivy started may hold it open, and asyncio would wait for that as well.
            await asyncio.wait({listening}, timeout=_LAST_WORDS_SECONDS)
        except TimeoutError as error:
            raise ScanFailure(
                Reason.TRIVY_TIMED_OUT,
                f"Trivy was not done after {seconds:g} seconds{_last(said.text)}",
                hint="Raise DRYDOCK_TRIVY_SECONDS if the image is that large.",
            ) from error
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            listening.cancel()
            await asyncio.wait({listening, asyncio.ensure_future(process.wait())})
    if code:
        raise _failure(code, said.text, server="--server" in command)
    return said.text


async def _start(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, stderr: int
) -> asyncio.subprocess.Process:
    """Starts it as the leader of a group of its own, and closes what it says its words to."""
    try:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=stderr,
            env=dict(environment),
            cwd=folder,
            start_new_session=True,
        )
    except OSError as error:
        raise ScanFailure(
            Reason.TRIVY_MISSING, f"{command[0]} cannot be run: {error.strerror}.", hint="Mend DRYDOCK_TRIVY."
        ) from error
    finally:
        os.close(stderr)


class _Said:
    """What is kept of what a program says: how it began and how it ended."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._tail = bytearray()

    async def listen(self, pipe: IO[bytes]) -> None:
        """Listens until nobody can speak any more, then closes the pipe."""
        stream = asyncio.StreamReader()
        way, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), pipe
        )
        try:
            while piece := await stream.read(_READ_BYTES):
                room = max(_HEAD_BYTES - len(self._head), 0)
                self._head += piece[:room]
                self._tail = (self._tail + piece[room:])[-_TAIL_BYTES:]
        finally:
            way.close()

    @property
    def text(self) -> str:
        return (self._head + self._tail).decode("utf-8", "replace")


def _failure(code: int, said: str, *, server: bool) -> ScanFailure:
    last = _last(said)
    if code < 0:
        return ScanFailure(
            Reason.TRIVY_KILLED,
            f"Trivy was killed by {_signal(-code)}{last}",
            hint="It may have had too little memory: look at the system's log.",
        )
    if _JAVA in said:
        return ScanFailure(
            Reason.TRIVY_JAVA_DATABASE_MISSING,
            "The image holds Java archives, and Trivy has no database to tell them by.",
            hint="Fetch one with `trivy image --download-java-db-only --cache-dir FOLDER` into the folder of its "
            "databases, or scan with security-center.",
        )
    if server and any(words in said for words in _SERVER_AWAY):
        return ScanFailure(
            Reason.TRIVY_SERVER_UNREACHABLE,
            f"Trivy could not ask its server{last}",
            hint="Start it with `trivy server`, or mend DRYDOCK_TRIVY_SERVER.",
        )
    if any(words in said for words in _BROKEN_DATABASE):
        return ScanFailure(
            Reason.TRIVY_DATABASE_BROKEN,
            f"Trivy cannot use its database{last}",
            hint="Write or fetch it again: `drydock advisories export --format trivy-db FOLDER`.",
        )
    return ScanFailure(
        Reason.TRIVY_FAILED,
        f"Trivy ended with status {code}{last}",
        hint="Scan with security-center if it does not go on.",
    )


def _last(said: str) -> str:
    """The line that tells most, as the end of a sentence: what Go died of, the last error, or the last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    died = [line for line in lines if line.startswith(_GO_DIED)][:1]
    fatal = [line for line in lines if "FATAL" in line or "ERROR" in line]
    chosen = died or (fatal or lines)[-1:]
    return f": {shown(' '.join(chosen[0].split()), _MAX_SHOWN)}" if chosen else "."


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
