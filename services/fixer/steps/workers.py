"""The pool that labour is done in, with its ends turned into reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from services.fixer.failure import FixFailure, FixReason
from services.kernel.workers.pool import WorkerDied, WorkerPool, WorkerTimedOut

P = ParamSpec("P")
T = TypeVar("T")


class Labour:
    """Has functions of `steps/labour.py` done in other processes, under limits."""

    def __init__(self, pool: WorkerPool, seconds: float) -> None:
        """Takes the pool, and how long one piece of work may take."""
        self._pool = pool
        self._seconds = seconds

    async def do(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Returns what the function returns; cancelling kills its process.

        Raises:
            FixFailure: WORKER_DIED, FIX_TIMED_OUT, and what the function raises.
        """
        try:
            return await self._pool.run(self._seconds, function, *args, **kwargs)
        except WorkerDied as error:
            raise FixFailure(
                FixReason.WORKER_DIED,
                "The process that worked on the image died, or had not the memory for it.",
                hint="Raise DRYDOCK_FIXER_WORKER_BYTES if the image is large; the fixer's log may say more.",
            ) from error
        except WorkerTimedOut as error:
            raise FixFailure(
                FixReason.FIX_TIMED_OUT,
                f"A step of the fix took longer than {self._seconds:.0f} seconds.",
                hint="Raise DRYDOCK_FIXER_STEP_SECONDS if the image is that large.",
            ) from error
