"""Workers for a program that does one thing: forked, they know at once all that it has imported."""

from __future__ import annotations

import asyncio
import gc
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Generic, NamedTuple

from services.kernel.workers.call import Call
from services.kernel.workers.interface import P, T, WorkerDied, Workers, WorkerTimedOut

_FORK = multiprocessing.get_context("fork")


class _Answer(NamedTuple, Generic[T]):
    value: T | None
    error: BaseException | None


class ForkedWorkers(Workers):
    """Processes made by `fork_workers`. One that died is not replaced: by then there are threads."""

    def __init__(self, workers: list[_Worker], memory_bytes: int) -> None:
        self._idle = workers
        self._turns = asyncio.Semaphore(len(workers))
        self._memory_bytes = memory_bytes

    async def run(self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a worker; when all have died, none is left to do it."""
        call = Call(function, args, kwargs, self._memory_bytes)
        async with self._turns:
            if not self._idle:
                raise WorkerDied
            worker = self._idle.pop()
            try:
                async with asyncio.timeout(timeout_seconds):
                    answer: _Answer[T] = await asyncio.to_thread(worker.ask, call)
            except TimeoutError as error:
                worker.kill()
                raise WorkerTimedOut from error
            except (EOFError, OSError) as error:
                worker.kill()
                raise WorkerDied from error
            except BaseException:
                worker.kill()
                raise
            self._idle.append(worker)
        if isinstance(answer.error, MemoryError):
            raise WorkerDied from answer.error
        if answer.error is not None:
            raise answer.error
        return answer.value  # type: ignore[return-value]  # there is one where there is no error


class _Worker:
    def __init__(self) -> None:
        self._ours, theirs = _FORK.Pipe()
        self._process = _FORK.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, call: Call[T]) -> _Answer[T]:
        """Blocks until the worker has answered, or is dead.

        Raises:
            EOFError: it is.
        """
        self._ours.send(call)
        answer: _Answer[T] = self._ours.recv()
        return answer

    def kill(self) -> None:
        """Ends it, whatever it does."""
        self._process.kill()
        self._process.join()


@contextmanager
def fork_workers(*, processes: int, memory_bytes: int) -> Iterator[ForkedWorkers]:
    """Forks the workers, which end with the context. Call it before anything starts a thread.

    Raises:
        RuntimeError: there is a thread: a lock that it holds would never be let go in a worker.
    """
    if threading.active_count() > 1:
        raise RuntimeError("a process with threads cannot be forked")
    gc.freeze()  # what is here already is not looked at in the workers, so that its memory stays shared
    workers = [_Worker() for _ in range(processes)]
    try:
        yield ForkedWorkers(list(workers), memory_bytes)
    finally:
        for worker in workers:
            worker.kill()


def _serve(calls: Connection) -> None:
    while True:
        try:
            call: Call[object] = calls.recv()
        except EOFError:
            return
        try:
            answer = _Answer(call(), None)
        except Exception as error:  # noqa: BLE001 - it goes on to whoever asked
            answer = _Answer(None, error)
        calls.send(answer)
