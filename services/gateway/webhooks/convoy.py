"""Events that wait at the same moment go on the bus together: registries send them one by one.

The way to the database and back costs more than an event, twice: for its revision and for itself. So those who
come while one convoy is under way share the next. Nobody is told that an event arrived before the bus holds it.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.gateway.convert_events import Draft
from services.gateway.store import GatewayStore
from services.kernel.bus.interface import Bus
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError

_MOST = 500
"""Events of one convoy; a delivery is never split, and may have more."""
_MOST_WAITING = 20_000
"""Events that wait for theirs; who brings more is sent away."""
_GATHER_SECONDS = 0.0005
"""Pause before the next convoy for each delivery in the last one; who comes alone never waits."""
_LONGEST_SECONDS = 0.003


@dataclasses.dataclass(frozen=True, slots=True)
class _Brought:
    drafts: Sequence[Draft]
    gone: asyncio.Future[None]


class Convoys:
    """Publishes; see `open_convoys`. For use on one event loop."""

    def __init__(self, *, pool: Pool, store: GatewayStore, bus: Bus) -> None:
        self._pool = pool
        self._store = store
        self._bus = bus
        self._waiting: list[_Brought] = []
        self._events = 0
        self._moving: asyncio.Task[None] | None = None

    async def publish(self, drafts: Sequence[Draft]) -> None:
        """Returns when all drafts are durable on the bus, with revisions that rise in their order.

        Whoever is cancelled has brought nothing, or what comes again with the same event ids.

        Raises:
            ServiceError: BUS_UNAVAILABLE, WEBHOOK_BUSY; errors of the database as they come.
        """
        if self._events + len(drafts) > _MOST_WAITING and self._waiting:
            raise _busy()
        brought = _Brought(drafts, asyncio.get_running_loop().create_future())
        self._waiting.append(brought)
        self._events += len(drafts)
        if self._moving is None:
            # No caller's, by its context too: it goes on when those who brought its events have given up.
            self._moving = asyncio.create_task(
                self._move(), name="gateway webhook convoys", context=contextvars.Context()
            )
        await brought.gone

    async def stop(self) -> None:
        """Lets go of what is under way: whoever brought it has been answered, or cancelled."""
        if self._moving is not None:
            self._moving.cancel()
            await asyncio.wait([self._moving])

    async def _move(self) -> None:
        """Publishes what waits, until nothing does."""
        try:
            while self._waiting:
                if convoy := self._next():
                    await self._publish(convoy)
                    await asyncio.sleep(min((len(convoy) - 1) * _GATHER_SECONDS, _LONGEST_SECONDS))
        finally:
            self._moving = None

    def _next(self) -> Sequence[_Brought]:
        convoy: list[_Brought] = []
        events = 0
        while self._waiting and events < _MOST:
            brought = self._waiting.pop(0)
            self._events -= len(brought.drafts)
            if not brought.gone.done():  # its caller may have given up
                convoy.append(brought)
                events += len(brought.drafts)
        return convoy

    async def _publish(self, convoy: Sequence[_Brought]) -> None:
        drafts = [draft for brought in convoy for draft in brought.drafts]
        try:
            async with self._pool.acquire() as conn:
                revisions = await self._store.next_revisions(conn, len(drafts))
            await self._bus.publish(
                [draft.numbered(revision) for draft, revision in zip(drafts, revisions, strict=True)]
            )
        except Exception as error:  # noqa: BLE001 - raised again for each caller
            for brought in convoy:
                if not brought.gone.done():
                    brought.gone.set_exception(error)
        else:
            for brought in convoy:
                if not brought.gone.done():
                    brought.gone.set_result(None)


@asynccontextmanager
async def open_convoys(*, pool: Pool, store: GatewayStore, bus: Bus) -> AsyncIterator[Convoys]:
    """Opens the way to the bus; all who use it have ended before it is left."""
    # No TaskGroup: it would wrap what the caller's own block raises.
    convoys = Convoys(pool=pool, store=store, bus=bus)
    try:
        yield convoys
    finally:
        await convoys.stop()


def _busy() -> ServiceError:
    return ServiceError(
        Kind.UNAVAILABLE,
        "WEBHOOK_BUSY",
        "Too many events wait to be stored.",
        hint="Send them again in a moment.",
        retry_after=2.0,
    )
