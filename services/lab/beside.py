"""Work that runs beside a block of code and ends with it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine


@contextlib.asynccontextmanager
async def beside(
    work: Coroutine[object, object, None], *, name: str, stop: Callable[[], None] | None = None
) -> AsyncIterator[None]:
    """Runs the work as a task for the time of the block, and waits for its end.

    What the block raises comes out as it is, not in a group; when the work fails first, the block is cancelled.

    Args:
        work: what to run.
        name: of the task.
        stop: asks the work to end by itself; without it the work is cancelled.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as group:
        task = group.create_task(work, name=name)
        try:
            yield
        except Exception as error:  # noqa: BLE001  # raised again below: the task group would wrap it
            failure = error
        finally:
            if stop is not None:
                stop()
            else:
                task.cancel()
    if failure is not None:
        raise failure
