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
    future = asyncio.get_running_loop().run_in_executor(None, partial(function, *args, **kwargs))
    try:
        await asyncio.wait({future})
    except asyncio.CancelledError:
        await asyncio.wait({future})
        if not future.cancelled():
            # Its outcome no longer matters; looking at it keeps asyncio from reporting it as forgotten.
            future.exception()
        raise
    return future.result()
