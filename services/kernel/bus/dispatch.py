"""The consuming loop: hand batches to a handler, commit after it, put poison aside."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from services.kernel.bus.interface import Bus, Record, Subscription
from services.kernel.bus.letters import bury
from services.kernel.db import is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.wakeup import wait

log = structlog.get_logger()

Handler = Callable[[Sequence[Record]], Awaitable[None]]
"""Writes down what the records ask for, in one transaction. Idempotent by event id; no long work."""
_WAIT_SECONDS = 1.0
_PAUSE_SECONDS = 0.5
_TRIES = 3


class _Stopped(Exception):
    """We are to stop while a batch cannot be handled: it stays uncommitted and comes again."""


def in_turn(*handlers: Handler) -> Handler:
    """Returns a handler that hands records to each of these, which pick what is theirs."""

    async def handle(records: Sequence[Record]) -> None:
        for handler in handlers:
            await handler(records)

    return handle


async def consume(bus: Bus, *, group: str, topic: str, handler: Handler, stopping: asyncio.Event) -> None:
    """Consumes a topic until `stopping`; the batch in hand is finished first.

    While the database or the bus is away the same batch is tried again, for as long as it takes. A record that
    the handler refuses three times for another cause goes to `<topic>.dead` with its error, and the rest goes on.
    """
    while not stopping.is_set():
        try:
            async with bus.subscribe(group=group, topic=topic) as subscription:
                await _consume(bus, group, subscription, handler, stopping)
        except _Stopped:
            return
        except Exception as error:
            if not _passing(error):
                raise
            log.warning("consumer.interrupted", group=group, topic=topic, error=type(error).__name__)
            await wait(stopping, _PAUSE_SECONDS)


async def _consume(
    bus: Bus, group: str, subscription: Subscription, handler: Handler, stopping: asyncio.Event
) -> None:
    while not stopping.is_set():
        batch = await subscription.next(_WAIT_SECONDS)
        if batch is None:
            continue
        if await _refusal(handler, batch.records, stopping) is not None:
            for record in batch.records:
                await _isolate(bus, group, handler, record, stopping)
        await subscription.commit(batch)


async def _refusal(handler: Handler, records: Sequence[Record], stopping: asyncio.Event) -> Exception | None:
    """Hands records over, waiting out what passes; returns the error when one of them seems to be poison."""
    while True:
        try:
            await handler(records)
        except Exception as error:
            if not _passing(error):
                log.warning("record.refused", topic=records[0].message.topic, count=len(records), exc_info=error)
                return error
            log.warning("record.delayed", topic=records[0].message.topic, error=type(error).__name__)
            if await wait(stopping, _PAUSE_SECONDS):
                raise _Stopped from error
        else:
            return None


async def _isolate(bus: Bus, group: str, handler: Handler, record: Record, stopping: asyncio.Event) -> None:
    error: Exception | None = None
    for _ in range(_TRIES):
        error = await _refusal(handler, [record], stopping)
        if error is None:
            return
    log.error("record.buried", topic=record.message.topic, partition=record.partition, position=record.position)
    reason = error.reason if isinstance(error, ServiceError) else "INTERNAL"
    sentence = error.sentence() if isinstance(error, ServiceError) else type(error).__name__
    await bus.publish([bury(record, group=group, reason=reason, error=sentence)])


def _passing(error: Exception) -> bool:
    if isinstance(error, ServiceError):
        return error.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)
    return is_outage(error)
