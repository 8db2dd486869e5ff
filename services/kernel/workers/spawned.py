"""Workers for a server: started anew, because grpc does not survive a fork."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import anyio
import anyio.to_process

from services.kernel.workers.call import Call
from services.kernel.workers.interface import P, T, WorkerDied, Workers, WorkerTimedOut


class SpawnedWorkers(Workers):
    """Processes that start with the first work, and anew after one has died."""

    def __init__(self, *, processes: int, memory_bytes: int) -> None:
        """Prepares the pool."""
        self._limiter = anyio.CapacityLimiter(processes)
        self._memory_bytes = memory_bytes

    async def run(self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a worker."""
        call = Call(function, args, kwargs, self._memory_bytes)
        try:
            async with asyncio.timeout(timeout_seconds):
                return await anyio.to_process.run_sync(call, cancellable=True, limiter=self._limiter)
        except TimeoutError as error:
            raise WorkerTimedOut from error
        except (anyio.BrokenWorkerProcess, MemoryError) as error:
            raise WorkerDied from error
