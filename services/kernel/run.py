"""How every process of ours lives: one place for signals, readiness, tasks and the drain."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import structlog
import uvloop

from services.kernel import open_files
from services.kernel.errors import ServiceError

log = structlog.get_logger()

T = TypeVar("T")
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Part:
    """One part of a process that can be ready or not."""

    def __init__(self) -> None:
        self.ready = False
        self.why = "starting"

    def set(self, ready: bool, why: str = "") -> None:
        """Says whether the part is ready and, when not, why not."""
        self.ready = ready
        self.why = why


class Readiness:
    """Whether a process may be given work: when every part of it is ready and it is not stopping."""

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self._stopping = False

    def add(self, name: str) -> Part:
        """Adds a part, which is not ready yet."""
        part = self._parts[name] = Part()
        return part

    def stop(self) -> None:
        """Makes the process not ready, for good."""
        self._stopping = True

    def obstacles(self) -> dict[str, str]:
        """Returns what stands in the way, by part; empty when ready."""
        if self._stopping:
            return {"process": "stopping"}
        return {name: part.why for name, part in self._parts.items() if not part.ready}


class Process:
    """What the parts of a running process share."""

    def __init__(self, tasks: asyncio.TaskGroup, stopping: asyncio.Event) -> None:
        self.stopping = stopping
        """Set once the process is to end: loops finish the work in hand and return."""
        self.readiness = Readiness()
        self._tasks = tasks
        self._running: set[asyncio.Task[None]] = set()

    def start(self, name: str, coroutine: Coroutine[object, object, None]) -> None:
        """Runs a coroutine until it returns; when one fails, the whole process ends with that failure."""
        task = self._tasks.create_task(_whole(name, coroutine), name=name)
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: coroutine.close())  # one that was cancelled before it began never ran

    async def hold(self, name: str, opening: AbstractAsyncContextManager[T]) -> T:
        """Enters a context in a task of the process, and returns what it yields.

        It is left as soon as the process is to stop: so a door closes before the rest drains.

        Raises:
            ServiceError: what entering it raises.
        """
        opened: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.start(name, self._hold(opening, opened))
        return await opened

    async def _hold(self, opening: AbstractAsyncContextManager[T], opened: asyncio.Future[T]) -> None:
        try:
            async with opening as value:
                opened.set_result(value)
                await self.stopping.wait()
        except ServiceError as error:
            if opened.done():
                raise
            opened.set_exception(error)
        finally:
            opened.cancel()

    async def drain(self, seconds: float) -> None:
        """Waits for every task to return, all in all at most so long; then cancels what is left."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while self._running and (left := end - loop.time()) > 0:
            await asyncio.wait(set(self._running), timeout=left)
        if late := sorted(task.get_name() for task in self._running if not task.done()):
            log.warning("process.drain_ended", tasks=late)
        while self._running:
            ending = set(self._running)
            for task in ending:
                task.cancel()
            await asyncio.wait(ending)


async def _whole(name: str, coroutine: Coroutine[object, object, None]) -> None:
    """Runs a coroutine; one that ends as cancelled though nobody cancelled it has failed, and is not just gone."""
    try:
        await coroutine
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise RuntimeError(f"the task {name!r} ended as cancelled, and nobody had cancelled it") from error


Compose = Callable[[Process], AbstractAsyncContextManager[object]]


async def live(compose: Compose, *, drain_seconds: float, until: asyncio.Event | None = None) -> None:
    """Builds a process, waits for a signal (or `until`), and takes it down in order.

    Order: not ready, stop intake, drain to the budget, cancel, close what `compose` opened. A second signal
    cancels at once.
    """
    stopping = until or asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        process = Process(tasks, stopping)
        main = asyncio.current_task()
        loop = asyncio.get_running_loop()

        def on_signal(number: int) -> None:
            if stopping.is_set() and main is not None:
                log.warning("process.killed", signal=number)
                main.cancel()
            else:
                log.info("process.stopping", signal=number)
                stopping.set()

        for number in _SIGNALS:
            loop.add_signal_handler(number, on_signal, number)
        try:
            async with compose(process):
                await stopping.wait()
                process.readiness.stop()
                await process.drain(drain_seconds)
        finally:
            stopping.set()
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
    log.info("process.stopped")


def run(compose: Compose, *, drain_seconds: float = 20.0) -> None:
    """Lives a process on a loop of its own until a signal ends it."""
    open_files.raise_limit()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(live(compose, drain_seconds=drain_seconds))
