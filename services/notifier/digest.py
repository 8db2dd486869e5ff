"""Windows: what happened within one is told together, in one delivery for as many news as it can hold.

News that wait are rows of deliveries, as all others are. Their end and the delivery that tells them are one
transaction: whoever dies in between has done nothing, and each news is in exactly one delivery.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import structlog

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool, is_outage
from services.kernel.ids import Ids
from services.kernel.wakeup import wait
from services.notifier.delivery_store import DeliveryStore, Held
from services.notifier.events import News
from services.notifier.payload import delivery_id_of
from services.notifier.records import NewDelivery
from services.notifier.settings import NotifierSettings
from services.notifier.store import NotifierStore

log = structlog.get_logger()

DIGEST_SCHEMA = "drydock.digest/v1"
MOST_NEWS = 100
"""In one digest; what is more goes into another one."""
MOST_BYTES = 256 * 1024
"""Of the news in one digest, unless the first one alone is more."""


class Digest(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a digest; its JSON Schema is `docs/digest.schema.json`."""

    schema: str
    delivery_id: str
    event: str
    since: str
    """RFC 3339, UTC: when the first of the news was taken."""
    until: str
    """The end of the window."""
    count: int
    notifications: tuple[msgspec.Raw, ...]
    """Each as it would have been sent by itself; oldest first."""


class Windows:
    """Closes windows that are over. Any number of them share the work."""

    def __init__(
        self, *, pool: Pool, store: NotifierStore, clock: Clock, ids: Ids, settings: NotifierSettings
    ) -> None:
        self._pool = pool
        self._store = store
        self._deliveries = DeliveryStore()
        self._clock = clock
        self._ids = ids
        self._settings = settings

    async def run(self, stopping: asyncio.Event) -> None:
        """Closes windows until `stopping`."""
        while not stopping.is_set():
            try:
                closed = await self.close_one()
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("windows.delayed", error=type(error).__name__)
                closed = False
            if not closed:
                await wait(stopping, self._settings.look_seconds)

    async def close_one(self) -> bool:
        """Makes one delivery of news that waited for one target; False when none of them wait any more."""
        async with self._pool.acquire() as conn, conn.transaction():
            found = await self._deliveries.window_target(conn)
            if found is None:
                return False
            target_id, merges = found
            held = _together(await self._deliveries.held(conn, target_id, limit=MOST_NEWS))
            now = self._clock.now()
            if merges and len(held) > 1:
                await self._merge(conn, target_id, held, now)
            else:  # chats merge by themselves
                for each in held:
                    await self._deliveries.release(conn, target_id, each.event_id, now)
            await self._store.wake_workers(conn)
        log.info("window.closed", target_id=target_id, count=len(held))
        return True

    async def _merge(self, conn: Connection, target_id: str, held: Sequence[Held], now: datetime) -> None:
        event_id = self._ids.uuid()
        delivery_id = delivery_id_of(event_id, target_id)
        digest = NewDelivery(
            target_id=target_id,
            event_id=event_id,
            delivery_id=delivery_id,
            news=News.SCAN_DIGEST,
            body=encode_digest(delivery_id, held),
            traceparent="",
            window_seconds=0,
        )
        await self._store.insert_deliveries(conn, [digest], now)
        await self._deliveries.merge(conn, target_id, [each.event_id for each in held], delivery_id, now)


def encode_digest(delivery_id: str, held: Sequence[Held]) -> bytes:
    """Writes the JSON that tells several news together: one line, UTF-8."""
    return msgspec.json.encode(
        Digest(
            schema=DIGEST_SCHEMA,
            delivery_id=delivery_id,
            event=News.SCAN_DIGEST.value,
            since=_time(min(each.created_at for each in held)),
            until=_time(max(each.due_at for each in held)),
            count=len(held),
            notifications=tuple(msgspec.Raw(each.body) for each in held),
        )
    )


def _together(held: Sequence[Held]) -> Sequence[Held]:
    """Returns the first news that fit into one digest; at least one, where there is any."""
    size = 0
    for number, each in enumerate(held):
        size += len(each.body)
        if number and size > MOST_BYTES:
            return held[:number]
    return held


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
