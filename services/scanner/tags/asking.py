"""Asking registries: a bounded number of questions at once, for as long as the process lives."""

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


async def keep_asking(
    claim: Callable[[int], Awaitable[Sequence[T]]],
    settle: Callable[[T], Awaitable[None]],
    *,
    wakeups: Wakeups,
    channel: str,
    most: int,
    stopping: asyncio.Event,
) -> None:
    """Takes questions up and settles them until `stopping`; those under way are finished first.

    Args:
        claim: takes at most so many that are due. Each is due again by itself: whoever takes one may die.
        settle: asks about one; an outage leaves it to be taken up again.
        wakeups: tells when there may be more.
        channel: by this name.
        most: questions at once.
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
                log.warning("questions.delayed", channel=channel, error=type(error).__name__)
                await wait(stopping, _LOOK_SECONDS)
                continue
            for one in taken:
                task = group.create_task(_settled(settle, one), name=f"{channel} question")
                busy.add(task)
                task.add_done_callback(end)
            if not taken:
                await wait_any((news, stopping), _LOOK_SECONDS)


async def _settled(settle: Callable[[T], Awaitable[None]], one: T) -> None:
    try:
        await settle(one)
    except Exception as error:
        if is_outage(error):
            log.warning("question.unrecorded", error=type(error).__name__)
        else:  # one question that cannot be settled stops no other
            log.error("question.broke", exc_info=error)
