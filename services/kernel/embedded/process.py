"""A server of somebody else's as our child: alone on its folder, tied to us, stopped in order."""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_PR_SET_PDEATHSIG = 1
_TAIL_BYTES = 2000


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keeps a second Drydock from the same folder; the lock goes with the process.

    Raises:
        ServiceError: DATA_FOLDER_IN_USE.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ServiceError(
                Kind.FAILED_PRECONDITION,
                "DATA_FOLDER_IN_USE",
                f"Another Drydock is running on {folder}.",
                hint="Stop it, or choose another folder with --data.",
            ) from error
        yield


def tied_to_us(number: signal.Signals) -> Callable[[], None]:
    """Returns what a child does before it becomes the server: it asks to get this signal when we die.

    It dies with the thread that started it, too: start servers from one that stays.
    """
    parent = os.getpid()
    libc = ctypes.CDLL(None)

    def tie() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, number)
        if os.getppid() != parent:
            os._exit(1)

    return tie


def stop(server: subprocess.Popen[bytes], signals: Sequence[signal.Signals], *, name: str, seconds: float) -> None:
    """Ends a server by the first signal that does within so many seconds."""
    for number in signals:
        if server.poll() is not None:
            return
        server.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(seconds)
            return
        log.warning("server.slow_stop", server=name, signal=number)


def tail(file: Path) -> str:
    """Returns the end of a log."""
    with file.open("rb") as handle:
        handle.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        return handle.read().decode(errors="replace")
