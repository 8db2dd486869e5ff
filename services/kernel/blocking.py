"""File work in a thread that is waited for: a file is never closed beneath a thread that still writes to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs blocking file work off the loop.

    A cancelled caller gets its `CancelledError` only when the thread is done: file work is short, and what it
    works on must not be taken away meanwhile. `asyncio.to_thread` would leave the thread running.
    """
    return await acquire_in_thread(partial(function, *args, **kwargs), undo=_nothing)


async def acquire_in_thread(function: Callable[[], T], *, undo: Callable[[T], object]) -> T:
    """Runs work whose result has to be closed or removed again.

    Args:
        function: the work.
        undo: takes the result back when the caller was cancelled meanwhile and will never see it.
    """
    future = asyncio.get_running_loop().run_in_executor(None, function)
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        await asyncio.wait({future})
        # Looking at the outcome also keeps asyncio from reporting it as forgotten.
        if not future.cancelled() and future.exception() is None:
            undo(future.result())
        raise
    return future.result()


def _nothing(_result: object) -> None:
    """Undoes what needs no undoing."""
