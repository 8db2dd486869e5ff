"""Claims: work that rows stand for, a bounded number of pieces at once, for as long as the process lives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog

from services.kernel.db import is_outage
from services.kernel.wakeup import Wakeups, wait, wait_any

log = structlog.get_logger()

T = TypeVar("T")
_LOOK_SECONDS = 1.0


async def work_claims(
    claim: Callable[[int], Awaitable[Sequence[T]]],
    work: Callable[[T], Awaitable[object]],
    *,
    wakeups: Wakeups,
    channel: str,
    most: int,
    stopping: asyncio.Event,
) -> None:
    """Claims pieces of work and does them until `stopping`; those under way are finished first.

    Args:
        claim: takes at most so many that are due. Each is due again by itself: whoever takes one may die.
        work: does one; an outage of the database leaves it to be claimed again.
        wakeups: tells when there may be more.
        channel: by this name.
        most: pieces at once.
        stopping: set when to stop.
    """
    busy: set[asyncio.Task[None]] = set()
    async with wakeups.subscribe(channel) as news, asyncio.TaskGroup() as group:

        def end(task: asyncio.Task[None]) -> None:
            busy.discard(task)
            news.set()

        while not stopping.is_set():
            news.clear()
            try:
                taken = await claim(most - len(busy)) if len(busy) < most else ()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("claims.delayed", channel=channel, error=type(error).__name__)
                await wait(stopping, _LOOK_SECONDS)
                continue
            for one in taken:
                task = group.create_task(_worked(work, one), name=channel)
                busy.add(task)
                task.add_done_callback(end)
            if not taken:
                await wait_any((news, stopping), _LOOK_SECONDS)


async def _worked(work: Callable[[T], Awaitable[object]], one: T) -> None:
    try:
        await work(one)
    except Exception as error:
        if is_outage(error):
            log.warning("claim.interrupted", error=type(error).__name__)
        else:  # one piece that cannot be done stops no other
            log.error("claim.broke", exc_info=error)
