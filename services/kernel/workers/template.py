"""Templates: processes that workers are forked from, because grpc and threads do not survive a fork of our own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import weakref
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import ParamSpec

from services.kernel.workers.served import MEMORY_BYTES

P = ParamSpec("P")
_SPAWNED = (
    "import json, socket, sys; number, paths, preload, parent = json.loads(sys.argv[1]); "
    "sys.path[:] = paths; from services.kernel.workers.served import serve_template; "
    "serve_template(socket.socket(fileno=number), preload, parent)"
)


class Template:
    """The program's hold on a template, which ends when it is closed, or collected, or the program ends."""

    def __init__(self, control: socket.socket, end: Callable[[], object]) -> None:
        self._control = control
        self.close = weakref.finalize(self, _close, control, end)

    def start_worker(self, memory_bytes: int) -> Connection:
        """Has a worker forked, and returns the way to it; what the template still imports is waited for there.

        Raises:
            OSError: the template is dead.
        """
        ours, theirs = Pipe()
        with theirs:
            number = memory_bytes.to_bytes(MEMORY_BYTES, "little")
            socket.send_fds(self._control, [number], [theirs.fileno()])
        return ours

    def prepare(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Has the template make a call before it forks more workers, who then have in memory what the call left.

        It must not start a thread: what it did is forked. Nobody waits for it, and nobody is told of its errors.

        Raises:
            OSError: the template is dead.
        """
        ours, theirs = Pipe()
        with ours, theirs:
            socket.send_fds(self._control, [bytes(MEMORY_BYTES)], [theirs.fileno()])
            ours.send((function, args, kwargs))


def spawn_template(preload: Sequence[str]) -> Template:
    """Starts a new interpreter. Call it from the thread that lives as long as the program."""
    ours, theirs = socket.socketpair()
    with theirs:
        number = theirs.fileno()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", _SPAWNED, json.dumps([number, sys.path, preload, os.getpid()])],
            pass_fds=(number,),
            stdin=subprocess.DEVNULL,
        )
    return Template(ours, lambda: _stop(process))


def _close(control: socket.socket, end: Callable[[], object]) -> None:
    control.close()
    end()


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
