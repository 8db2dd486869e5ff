"""A template that is a fork of the program: it imports what workers need while the program imports the rest."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # each side imports its own half after the fork
    from services.kernel.workers.template import Template


def fork_template(preload: Sequence[str], later: Sequence[str] = ()) -> Template:
    """Forks this very process, which must have one thread: nothing is started or imported twice.

    What is needed `later` is imported by each worker, once it has answered and nobody asks it anything.

    Raises:
        RuntimeError: there is a thread: a lock that it holds would never be let go in a worker.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot be forked")
    ours, theirs = socket.socketpair()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            ours.close()
            from services.kernel.workers.served import serve_template  # noqa: PLC0415

            serve_template(theirs, preload, parent, later)
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of the program that was forked may go on here
            traceback.print_exc()
        finally:
            os._exit(1)
    theirs.close()
    from services.kernel.workers.template import Template  # noqa: PLC0415

    return Template(ours, lambda: _end(pid))


def _end(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
