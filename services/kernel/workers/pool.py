"""The pool: calls go to processes that a template forks, under limits, and can be killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar, cast

from services.kernel.workers.served import Answer, Call
from services.kernel.workers.template import Template

_KIND = (socket.AF_UNIX, socket.SOCK_STREAM)


P = ParamSpec("P")
T = TypeVar("T")


class WorkerDied(Exception):
    """The worker process ended without an answer, or had not the memory to give one."""


class WorkerTimedOut(Exception):
    """The work took longer than it may; its process was killed."""


class WorkerPool:
    """A bounded number of processes; they start with the first work and stay, and a dead one is replaced.

    Functions and their arguments travel by pickle: pass module-level functions and small values, and return bytes.
    """

    def __init__(self, start: Callable[[], Template], *, processes: int, memory_bytes: int, kept: int = 0) -> None:
        """Starts a template; `start` is called again should it die. `kept` processes more are for urgent work."""
        self._start = start
        self._template = start()
        self._memory_bytes = memory_bytes
        self._idle: list[_Worker] = []
        self._turns = asyncio.Semaphore(processes + kept)
        self._patient_turns = asyncio.Semaphore(processes)
        self._threads = ThreadPoolExecutor(processes + kept, "worker")

    async def run_patiently(
        self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Runs what can wait, as `run` does, but never in the processes that are kept for what is urgent."""
        async with self._patient_turns:
            return await self.run(timeout_seconds, function, *args, **kwargs)

    async def run(self, timeout_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs the function in a worker and returns what it returns or raises what it raises.

        Cancelling the call kills the worker.

        Raises:
            WorkerTimedOut: it ran longer than `timeout_seconds`.
            WorkerDied: the process ended without an answer, or ran out of the memory that it may have.
        """
        loop = asyncio.get_running_loop()
        async with self._turns:
            worker = self._take()
            try:
                async with asyncio.timeout(timeout_seconds):
                    answer = await loop.run_in_executor(self._threads, worker.ask, (function, args, kwargs))
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
        return cast("T", answer.value)

    def prepare(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Has the call made once for all workers that are still to come: see `Template.prepare`.

        It only saves them time: a template that is dead, and the one that takes its place, go without.
        """
        with contextlib.suppress(OSError):
            self._template.prepare(function, *args, **kwargs)

    def _take(self) -> _Worker:
        while self._idle:
            worker = self._idle.pop(0)  # the one that has had most time to import what is needed later
            if worker.is_alive():
                return worker
            worker.kill()
        try:
            return self._started()
        except OSError:
            self._template.close()
            self._template = self._start()
        try:
            return self._started()
        except OSError as error:
            raise WorkerDied from error

    def _started(self) -> _Worker:
        return _Worker(self._template.start_worker(self._memory_bytes))


class _Worker:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pid: int | None = None

    def is_alive(self) -> bool:
        """Tells, while nothing is asked of it: it says nothing unless it has hung up."""
        return not self._connection.poll()

    def ask(self, call: Call) -> Answer:
        """Blocks until the worker has answered.

        Raises:
            EOFError, OSError: it is dead.
        """
        if self._pid is None:
            self._pid = self._connection.recv()
        self._connection.send(call)
        answer: Answer = self._connection.recv()
        return answer

    def kill(self) -> None:
        """Ends it, whatever it does; one that has not told its number yet ends when it finds nobody to tell."""
        with contextlib.suppress(OSError), socket.fromfd(self._connection.fileno(), *_KIND) as hung_up:
            hung_up.shutdown(socket.SHUT_RDWR)  # who waits for an answer is woken
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
