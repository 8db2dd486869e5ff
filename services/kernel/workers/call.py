"""A call as it travels to a worker, and the limits that the process puts itself under when one arrives."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class Call(Generic[T]):
    """A function with its arguments: on arrival it puts the process under its limits, then runs."""

    def __init__(
        self,
        function: Callable[..., T],
        args: tuple[object, ...],
        kwargs: dict[str, object],
        memory_bytes: int,
    ) -> None:
        self._function = function
        self._args = args
        self._kwargs = kwargs
        self._memory_bytes = memory_bytes
        self._parent = os.getpid()

    def __call__(self) -> T:
        """Runs in the worker."""
        _confine(self._memory_bytes, self._parent)
        return self._function(*self._args, **self._kwargs)


_confined = False


def _confine(memory_bytes: int, parent: int) -> None:
    """Bounds memory, leaves no core file, and ties the worker's life to its parent's."""
    global _confined  # noqa: PLW0603 - a process is confined once, on its first call
    if _confined:
        return
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(5)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends us
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before we asked to be told
        os._exit(1)
    _confined = True
