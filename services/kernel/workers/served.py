"""What runs in the other processes: a template, which has imported what is needed, and the workers it forks."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import pickle
import resource
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import NamedTuple

from services.kernel.late_log import silence
from services.kernel.workers.garbage import look_seldom

_PR_SET_PDEATHSIG = 1
_SWITCH_SECONDS = 0.0002
"""A call's threads hand each other buffers: the usual 5 ms would be a long wait for the interpreter."""
_IDLE_SECONDS = 0.02
"""So long without a call, and a worker has time of its own."""
MEMORY_BYTES = 8
"""Length of the number that comes with a descriptor."""

Call = tuple[Callable[..., object], tuple[object, ...], dict[str, object]]


class Answer(NamedTuple):
    """What came of a call: a value, or else an error."""

    value: object
    error: BaseException | None


def serve_template(control: socket.socket, preload: Sequence[str], parent: int, later: Sequence[str] = ()) -> None:
    """Imports the modules, then forks a worker for each descriptor that comes, until nobody is there.

    Each worker imports for itself what is needed `later`, once it has answered and nobody asks it anything.

    With a descriptor comes how many bytes of memory its worker may have; none means that there is a call behind it
    for the template itself.

    The process has one thread, so that what it forks is whole; its memory is shared with all of them.
    """
    _end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which then ends us
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers
    os.dup2(2, 1)  # nothing that a library prints gets among what the program prints
    for name in preload:
        importlib.import_module(name)
    silence()  # what workers find they answer
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.collect()
    look_seldom()
    gc.freeze()  # what is here is not looked at in the workers, so that its memory stays shared
    template = os.getpid()
    while True:
        memory, descriptors, _, _ = socket.recv_fds(control, MEMORY_BYTES, 1)
        if not descriptors:
            return
        limit = int.from_bytes(memory, "little")
        if not limit:
            _prepare(Connection(descriptors[0]))
            continue
        if os.fork() == 0:
            try:
                control.close()
                _end_with(template)
                _confine(limit)
                _work(Connection(descriptors[0]), later)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a worker never becomes a template
                traceback.print_exc()
            finally:
                os._exit(1)
        os.close(descriptors[0])


def _prepare(calls: Connection) -> None:
    """Makes one call, for what it leaves in memory: what fails here fails again in the workers, who tell."""
    with calls, contextlib.suppress(EOFError, ConnectionError):
        _answer(calls.recv_bytes())
    gc.freeze()


def _work(calls: Connection, later: Sequence[str]) -> None:
    with contextlib.suppress(EOFError, ConnectionError):  # nobody is there any more
        calls.send(os.getpid())
        while True:
            calls.send(_answer(calls.recv_bytes()))
            if later and not calls.poll(_IDLE_SECONDS):
                for name in later:
                    importlib.import_module(name)
                later = ()


def _answer(content: bytes) -> Answer:
    try:
        function, args, kwargs = pickle.loads(content)  # noqa: S301 - it comes from the program itself
        return Answer(function(*args, **kwargs), None)
    except Exception as error:  # noqa: BLE001 - it goes on to whoever asked
        return Answer(None, error)


def _confine(memory_bytes: int) -> None:
    """Bounds memory, and leaves no core file."""
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _end_with(parent: int) -> None:
    """Ties the life of this process to its parent's."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)
