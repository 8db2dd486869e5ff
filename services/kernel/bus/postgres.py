"""The bus over PostgreSQL: durable, ordered inside a key, any number of members in a group."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from datetime import datetime

import asyncpg
import msgspec
import structlog

from services.kernel.bus.interface import (
    BROWSE_BYTES,
    PARTITIONS,
    Batch,
    Bus,
    Excerpt,
    Kept,
    Message,
    Place,
    Record,
    Subscription,
    bus_unavailable,
    check_size,
    invalid_place,
    partition_of,
)
from services.kernel.bus.rebase import rebase
from services.kernel.db import Pool, connect, is_outage
from services.kernel.ids import Ids
from services.kernel.sql import load_queries
from services.kernel.wakeup import Wakeups, wait

log = structlog.get_logger()

_QUERIES = load_queries("services.kernel.bus")
_BATCH = 200
_SOON_SECONDS = 0.002
_LOOK_SECONDS = 0.5
_ASSIGN_SECONDS = 1.0
_ALL = list(range(PARTITIONS))
_COUNTED = 100_000


class PostgresBus(Bus):
    """Topics as rows of `bus.message`."""

    def __init__(self, pool: Pool, url: str, wakeups: Wakeups, ids: Ids) -> None:
        self._pool = pool
        self._url = url
        self._wakeups = wakeups
        self._ids = ids

    @property
    def compacts(self) -> bool:
        """Never: what is so now lies in tables of the same database."""
        return False

    async def publish(self, messages: Sequence[Message]) -> None:
        """Appends all messages in one transaction."""
        if not messages:
            return
        for message in messages:
            check_size(message)
        with _outages():
            await self._pool.execute(
                _QUERIES["publish"],
                [message.topic for message in messages],
                [partition_of(message.key) for message in messages],
                [message.key for message in messages],
                [message.value for message in messages],
                [msgspec.json.encode(dict(message.headers)).decode() for message in messages],
            )

    def subscribe(self, *, group: str, topic: str) -> AbstractAsyncContextManager[Subscription]:
        """Joins a group; the member's session is a connection of its own."""
        return self._subscribe(group, topic)

    async def browse(self, topic: str, *, start: Place | None = None, limit: int) -> Excerpt:
        """Reads committed messages, as consumers see them."""
        place = _Place(0, 0) if start is None else _parsed(start)
        partition = 0 if start is None else start.partition
        with _outages():
            rows = await self._pool.fetch(
                _QUERIES["browse"], topic, partition, place.xid, place.seq, limit, BROWSE_BYTES
            )
        whole = list(itertools.takewhile(lambda row: row["value"] is not None, rows))
        rest = rows[len(whole) :]
        return Excerpt(
            kept=tuple(Kept(record=_record(topic, row), published_at=row["created_at"]) for row in whole),
            next=Place(partition=rest[0]["partition"], position=_position(rest[0])) if rest else None,
        )

    async def tail(
        self, topic: str, *, after: Mapping[int, str], since: datetime | None = None, limit: int
    ) -> tuple[Kept, ...]:
        """Reads committed messages in the order in which they were published."""
        places = {number: _Place(0, 0) for number in _ALL}
        for partition, position in after.items():
            places[partition] = _parsed(Place(partition=partition, position=position))
        with _outages():
            rows = await self._pool.fetch(
                _QUERIES["tail"],
                topic,
                _ALL,
                [places[number].xid for number in _ALL],
                [places[number].seq for number in _ALL],
                since,
                limit,
            )
        return tuple(Kept(record=_record(topic, row), published_at=row["created_at"]) for row in rows)

    async def lag(self, group: str, topic: str) -> int:
        """Counts unread messages, at most 100,000 of a partition."""
        with _outages():
            return int(await self._pool.fetchval(_QUERIES["lag"], group, topic, _ALL, _COUNTED) or 0)

    @asynccontextmanager
    async def _subscribe(self, group: str, topic: str) -> AsyncIterator[Subscription]:
        async with self._wakeups.subscribe(f"drydock_bus_{topic.replace('.', '_')}") as news:
            member = _Membership(self._url, group, topic, self._ids.uuid())
            try:
                with _outages():
                    await member.partitions()  # whoever is told that the group is joined may rely on a session
                yield _PostgresSubscription(self._pool, member, news)
            finally:
                await member.leave()


@dataclasses.dataclass(frozen=True, slots=True)
class _Place:
    xid: int
    seq: int


class _PostgresSubscription(Subscription):
    def __init__(self, pool: Pool, member: _Membership, news: asyncio.Event) -> None:
        self._pool = pool
        self._member = member
        self._news = news
        self._ready: list[Batch] = []
        self._pause = _LOOK_SECONDS

    async def next(self, wait_seconds: float) -> Batch | None:
        loop = asyncio.get_running_loop()
        end = loop.time() + wait_seconds
        while True:
            if self._news.is_set():
                self._news.clear()
                self._pause = _SOON_SECONDS
            held = await self._member.partitions()
            self._ready = [batch for batch in self._ready if batch.partition in held]
            if not self._ready and held:
                self._ready = await self._read(held)
            if self._ready:
                return self._ready.pop(0)
            left = end - loop.time()
            if left <= 0:
                return None
            # A committed message can still lie behind an older open transaction, whose end tells nobody: look,
            # soon after a wake-up and then less and less often.
            if not await wait(self._news, min(left, self._pause)):
                self._pause = min(self._pause * 2, _LOOK_SECONDS)

    async def _read(self, held: frozenset[int]) -> list[Batch]:
        member = self._member
        rows = await self._pool.fetch(_QUERIES["read"], member.group, member.topic, sorted(held), _BATCH)
        batches: dict[int, list[asyncpg.Record]] = {}
        for row in rows:
            batches.setdefault(row["partition"], []).append(row)
        return [
            Batch(
                partition=partition,
                records=tuple(_record(member.topic, row) for row in part),
                token=_Place(part[-1]["xid"], part[-1]["seq"]),
            )
            for partition, part in batches.items()
        ]

    async def commit(self, batch: Batch) -> None:
        place = batch.token
        if not isinstance(place, _Place):
            raise TypeError("a batch of another bus")
        member = self._member
        await self._pool.execute(
            _QUERIES["commit"], member.group, member.topic, batch.partition, place.xid, place.seq
        )


def _record(topic: str, row: asyncpg.Record) -> Record:
    headers = msgspec.json.decode(row["headers"], type=dict[str, str])
    return Record(
        message=Message(topic=topic, key=row["key"], value=row["value"], headers=headers),
        partition=row["partition"],
        position=_position(row),
    )


def _position(row: asyncpg.Record) -> str:
    return f"{row['xid']}/{row['seq']}"


def _parsed(place: Place) -> _Place:
    found = re.fullmatch(r"(\d{1,18})/(\d{1,18})", place.position)
    if found is None or not 0 <= place.partition < PARTITIONS:
        raise invalid_place(place)
    return _Place(int(found[1]), int(found[2]))


@contextmanager
def _outages() -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if not is_outage(error):
            raise
        raise bus_unavailable() from error


class _Membership:
    """A member's session: it lives in the group, and holds its partitions, as long as its connection does."""

    def __init__(self, url: str, group: str, topic: str, member_id: str) -> None:
        self.group = group
        self.topic = topic
        self._url = url
        self._member_id = member_id
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._held: frozenset[int] = frozenset()
        self._assigned_at = float("-inf")

    async def partitions(self) -> frozenset[int]:
        """Returns the partitions that this member alone holds now, looking again once a second."""
        now = asyncio.get_running_loop().time()
        if self._connection is None or self._connection.is_closed():
            self._held = frozenset()
            self._connection = await connect(self._url, application_name=f"drydock {self.group}")
            await rebase(self._connection, self.topic)
            await self._connection.execute(_QUERIES["leave"], self._member_id, self.group, self.topic)
            await self._connection.execute(_QUERIES["join"], self._member_id, self.group, self.topic)
            self._assigned_at = float("-inf")
        if now - self._assigned_at >= _ASSIGN_SECONDS:
            await self._assign(self._connection)
            self._assigned_at = now
        return self._held

    async def _assign(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        rows = await connection.fetch(_QUERIES["members"], self.group, self.topic)
        living = [row["member_id"] for row in rows]
        rank = living.index(self._member_id)
        mine = frozenset(p for p in range(PARTITIONS) if p % len(living) == rank)
        for partition in self._held - mine:
            await connection.execute("SELECT pg_advisory_unlock(hashtext($1), $2)", self._lock_name, partition)
        held = set(self._held & mine)
        for partition in mine - held:
            # Whoever held it may still be at work on a batch: it is ours once they let go.
            if await connection.fetchval(
                "SELECT pg_try_advisory_lock(hashtext($1), $2)", self._lock_name, partition
            ):
                held.add(partition)
        self._held = frozenset(held)

    @property
    def _lock_name(self) -> str:
        return f"{self.group}:{self.topic}"

    async def leave(self) -> None:
        """Leaves the group; its partitions are free at once."""
        connection, self._connection, self._held = self._connection, None, frozenset()
        if connection is None:
            return
        try:
            async with asyncio.timeout(2):
                await connection.execute(_QUERIES["leave"], self._member_id, self.group, self.topic)
                await connection.close()
        except Exception as error:
            connection.terminate()
            if not is_outage(error):
                raise
