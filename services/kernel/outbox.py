"""The transactional outbox: an event is written with the change it tells of, and relayed from there."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import msgspec
import structlog

from services.kernel.bus.interface import Bus, Message, check_size
from services.kernel.db import Connection, connect, is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.wakeup import Wakeups, wait, wait_any

log = structlog.get_logger()

SCHEMAS = frozenset({"rules", "scanner", "fixer", "notifier", "gateway"})
TABLES = frozenset({"outbox", "finding_outbox"})
_BATCH = 500
_LOOK_SECONDS = 1.0


class Outbox:
    """An outbox of one schema, whose migrations made its table; each table has a relay of its own."""

    def __init__(self, schema: str, table: str = "outbox") -> None:
        if schema not in SCHEMAS or table not in TABLES:
            raise ValueError(f"{schema}.{table} is no outbox of ours")
        self.name = schema if table == "outbox" else f"{schema}_{table}"
        self.table = f"{schema}.{table}"
        self.channel = f"drydock_outbox_{self.name}"
        self._insert = (
            f"WITH added AS (INSERT INTO {self.table} (topic, key, value, headers) "  # noqa: S608 - a table of ours
            "SELECT * FROM unnest($1::text[], $2::bytea[], $3::bytea[], $4::jsonb[])) SELECT pg_notify($5, '')"
        )

    async def add(self, connection: Connection, messages: Sequence[Message]) -> None:
        """Adds messages inside the caller's transaction; they are published soon after its commit, in order.

        Raises:
            ServiceError: MESSAGE_TOO_LARGE for what no bus takes: behind it, the relay would stand for ever.
        """
        if not messages:
            return
        for message in messages:
            check_size(message)
        await connection.execute(
            self._insert,
            [message.topic for message in messages],
            [message.key for message in messages],
            [message.value for message in messages],
            [msgspec.json.encode(dict(message.headers)).decode() for message in messages],
            self.channel,
        )


class OutboxRelay:
    """Moves messages from an outbox to the bus: published first, deleted after, so that none is lost.

    A crash between the two publishes some again: consumers know them by their event ids. One relay of an outbox
    works at a time, the one whose session holds the lock; so the order of a key is kept.
    """

    def __init__(self, url: str, bus: Bus, outbox: Outbox, wakeups: Wakeups) -> None:
        self._url = url
        self._bus = bus
        self._outbox = outbox
        self._wakeups = wakeups
        table = outbox.table
        self._read = f"SELECT id, topic, key, value, headers FROM {table} ORDER BY id LIMIT {_BATCH}"  # noqa: S608
        self._delete = f"DELETE FROM {table} WHERE id = ANY($1::bigint[])"  # noqa: S608 - a table of ours

    async def run(self, stopping: asyncio.Event) -> None:
        """Relays until `stopping`, then once more what is there."""
        async with self._wakeups.subscribe(self._outbox.channel) as news:
            while not stopping.is_set():
                try:
                    connection = await connect(self._url, application_name=f"drydock outbox {self._outbox.name}")
                    try:
                        await self._lead(connection, news, stopping)
                    finally:
                        connection.terminate()
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("outbox.delayed", outbox=self._outbox.name, error=type(error).__name__)
                    await wait(stopping, _LOOK_SECONDS)

    async def _lead(
        self, connection: asyncpg.Connection[asyncpg.Record], news: asyncio.Event, stopping: asyncio.Event
    ) -> None:
        # The lock is the session's, not a transaction's: an open one would hold back every reader of the bus.
        while not await connection.fetchval("SELECT pg_try_advisory_lock(hashtext($1))", self._outbox.channel):
            if await wait(stopping, _LOOK_SECONDS):
                return
        while not stopping.is_set():
            news.clear()
            if not await self._relay(connection, stopping):
                await wait_any((news, stopping), _LOOK_SECONDS)
        await self._relay(connection, stopping)

    async def _relay(self, connection: asyncpg.Connection[asyncpg.Record], stopping: asyncio.Event) -> bool:
        """Relays one batch; returns whether more may be waiting."""
        rows = await connection.fetch(self._read)
        if not rows:
            return False
        try:
            await self._bus.publish([_message(row) for row in rows])
        except ServiceError as error:
            if error.kind is not Kind.UNAVAILABLE:
                raise
            log.warning("outbox.delayed", outbox=self._outbox.name, reason=error.reason)
            await wait(stopping, _LOOK_SECONDS)
            return True
        await connection.execute(self._delete, [row["id"] for row in rows])
        return len(rows) == _BATCH


def _message(row: asyncpg.Record) -> Message:
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Message(topic=row["topic"], key=row["key"], value=row["value"], headers=headers)
