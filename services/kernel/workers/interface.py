"""What a pool of worker processes does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WorkerDied(Exception):
    """The worker process ended without an answer, or had not the memory to give one."""


class WorkerTimedOut(Exception):
    """The work took longer than it may; its process was killed."""


class Workers(ABC):
    """A bounded number of processes, reused from call to call; one that died is replaced.

    Functions and their arguments travel by pickle: pass module-level functions and small values, and return
    bytes.
    """

    @abstractmethod
    async def run(self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a worker and returns what it returns or raises what it raises.

        Cancelling the call kills the worker.

        Raises:
            WorkerTimedOut: it ran longer than `timeout_seconds`.
            WorkerDied: the process ended without an answer, or ran out of the memory that it may have.
        """
