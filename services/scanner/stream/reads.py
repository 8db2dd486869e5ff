"""Reading the stream: what is open now, and what was told from a moment on, both as events."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from services.kernel.bus.interface import FINDINGS, Bus
from services.kernel.db import Pool
from services.kernel.errors import invalid
from services.kernel.model.page import Page, bad_token, decode_token, encode_token
from services.scanner.stream.events import line_of, messages_of
from services.scanner.stream.happenings import as_open
from services.scanner.stream.records import Listed
from services.scanner.stream.store import FIRST, StreamStore

MAX_EVENTS: Final = 1000
_MAX_BYTES: Final = 2 << 20
"""Of one answer; it holds one event at least, which is far smaller."""
_TAIL, _OPEN = "finding events", "open findings"


class StreamReads:
    """Answers from the bus and from what is open."""

    def __init__(self, pool: Pool, store: StreamStore, bus: Bus) -> None:
        self._pool = pool
        self._store = store
        self._bus = bus

    async def events(self, *, since: datetime | None, cursor: str, limit: int) -> tuple[tuple[bytes, ...], str]:
        """Returns events that were published behind a cursor, and the cursor behind them.

        Without a cursor: those since a moment, or every one that is kept. None is no end: more come.

        Raises:
            ServiceError: INVALID_PAGE_TOKEN; BUS_UNAVAILABLE.
        """
        positions = _positions(cursor)
        kept = await self._bus.tail(FINDINGS, after=positions, since=since, limit=_checked(limit))
        lines = _fitting(line_of(one.record.message.headers, one.record.message.value) for one in kept)
        for one in kept[: len(lines)]:
            positions[one.record.partition] = one.record.position
        words = [word for partition, position in sorted(positions.items()) for word in (str(partition), position)]
        return lines, encode_token(tuple(words), _TAIL) if words else ""

    async def open_findings(self, *, instance_id: str, page_size: int, page_token: str) -> Page[bytes]:
        """Returns a page of what is open, of one instance or of every one, as the events that opened it."""
        size = _checked(page_size)
        place = decode_token(page_token, _OPEN, instance_id, length=3)
        after = FIRST if place is None else (place[0], place[1], _uuid(place[2]))
        async with self._pool.acquire() as db:
            found = await self._store.open_findings(db, instance_id, after=after, limit=size + 1)
        lines = await asyncio.to_thread(lambda: _fitting(map(_line, found[:size])))
        if len(lines) == len(found):
            return Page(items=lines, next_token="")
        last = found[len(lines) - 1]
        words = (last.image.repo_id, last.image.digest, str(last.finding.uid))
        return Page(items=lines, next_token=encode_token(words, _OPEN, instance_id))


def _fitting(lines: Iterable[bytes]) -> tuple[bytes, ...]:
    """Takes lines until an answer is full."""
    taken: list[bytes] = []
    size = 0
    for line in lines:
        size += len(line)
        if taken and size > _MAX_BYTES:
            break
        taken.append(line)
    return tuple(taken)


def _line(listed: Listed) -> bytes:
    [message] = messages_of(as_open(listed.image, listed.finding), state=False)
    return line_of(message.headers, message.value)


def _positions(cursor: str) -> dict[int, str]:
    words = decode_token(cursor, _TAIL)
    if words is None:
        return {}
    if len(words) % 2 or not all(word.isascii() and word.isdecimal() and len(word) < 9 for word in words[::2]):
        raise bad_token()
    return {int(partition): position for partition, position in zip(words[::2], words[1::2], strict=True)}


def _checked(size: int) -> int:
    if not 0 <= size <= MAX_EVENTS:
        raise invalid("INVALID_PAGE_SIZE", f"At most {MAX_EVENTS} events come at once.", field="page_size")
    return size or MAX_EVENTS


def _uuid(text: str) -> uuid.UUID:
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise bad_token() from error
