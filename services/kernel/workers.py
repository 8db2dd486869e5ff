"""Worker processes for CPU work: hostile bytes are parsed there, under limits, and can be killed."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import signal
from collections.abc import Callable
from typing import Generic, ParamSpec, TypeVar

import anyio
import anyio.to_process

P = ParamSpec("P")
T = TypeVar("T")
_PR_SET_PDEATHSIG = 1


class WorkerDied(Exception):
    """The worker process ended without an answer, or had not the memory to give one."""


class WorkerTimedOut(Exception):
    """The work took longer than it may; its process was killed."""


class WorkerPool:
    """A bounded number of spawned processes, reused from call to call.

    Functions and their arguments travel by pickle: pass module-level functions and small values, and return
    bytes. Spawned, never forked: grpc does not survive a fork.
    """

    def __init__(self, *, processes: int, memory_bytes: int) -> None:
        """Prepares a pool; the processes start with the first work."""
        self._limiter = anyio.CapacityLimiter(processes)
        self._memory_bytes = memory_bytes

    async def run(self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a worker and returns what it returns or raises what it raises.

        Cancelling the call kills the worker.

        Raises:
            WorkerTimedOut: it ran longer than `timeout_seconds`.
            WorkerDied: the process ended without an answer, or ran out of the memory that it may have.
        """
        call = _Call(function, args, kwargs, self._memory_bytes)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await anyio.to_process.run_sync(call, cancellable=True, limiter=self._limiter)
        except TimeoutError as error:
            raise WorkerTimedOut from error
        except (anyio.BrokenWorkerProcess, MemoryError) as error:
            raise WorkerDied from error


class _Call(Generic[T]):
    """A call as it travels: on arrival it puts the process under its limits, then runs."""

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
