"""Reads that are shared: all callers that wait at the same moment are answered by one query.

The way to the database and back costs more than the one indexed read that a status call is, so callers share it.
No answer is staler than the last commit before its call: a call joins only a query that was not sent yet.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from services.kernel.db import Connection, Pool, open_pool
from services.scanner.records import TaskRecord
from services.scanner.store import ScannerStore

K = TypeVar("K")
V = TypeVar("V")
_MOST = 500
"""Questions in one query."""
_GATHER_SECONDS = 0.0005
"""Pause before the next query for each caller that shared a late one; nobody who calls alone ever waits."""
_FORGETTING = 0.9
"""Of the callers that shared a query, so many still count at the next one: in a crowd a single one is chance."""
_LONGEST_SECONDS = 0.002


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked(Generic[K, V]):
    key: K
    answer: asyncio.Future[V]


class SharedReads(Generic[K, V]):
    """Answers questions of one sort, over one connection of the pool while there are any."""

    def __init__(
        self,
        pool: Pool,
        fetch: Callable[[Connection, Sequence[K]], Awaitable[Sequence[V]]],
        tasks: asyncio.TaskGroup,
    ) -> None:
        """`fetch` answers all of them at once, in their order."""
        self._pool = pool
        self._fetch = fetch
        self._tasks = tasks
        self._waiting: list[_Asked[K, V]] = []
        self._reading = False
        self._crowd = 1.0

    async def read(self, key: K) -> V:
        """Answers one question.

        It must be well formed: a text that the database cannot take would fail every caller of the same query.
        """
        asked: _Asked[K, V] = _Asked(key, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if not self._reading:
            self._begin()
        return await asked.answer

    def _begin(self) -> None:
        self._reading = True
        self._tasks.create_task(self._read(), name="scanner shared reads")

    async def _read(self) -> None:
        """Answers whoever waits, until nobody does."""
        batch: list[_Asked[K, V]] = []
        try:
            async with self._pool.acquire() as db:
                while self._waiting:
                    # Only now: who came while the last query was under way is asked for by this one.
                    batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                    keys = list(dict.fromkeys(asked.key for asked in batch))
                    found = dict(zip(keys, await self._fetch(db, keys), strict=True))
                    for asked in batch:
                        if not asked.answer.done():  # its caller may have given up
                            asked.answer.set_result(found[asked.key])
                    self._crowd = max(len(batch), self._crowd * _FORGETTING)
                    await asyncio.sleep(min((self._crowd - 1) * _GATHER_SECONDS, _LONGEST_SECONDS))
        except Exception as error:  # noqa: BLE001 - raised again for each caller
            for asked in (*batch, *self._waiting):
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            self._waiting = []
        finally:
            self._reading = False
        if self._waiting:  # somebody came while the connection went back
            self._begin()


class TagReads(SharedReads[tuple[str, str], TaskRecord | None]):
    """Answers for tags; see `open_tag_reads`."""

    def __init__(self, pool: Pool, store: ScannerStore, tasks: asyncio.TaskGroup) -> None:
        super().__init__(pool, store.tasks_of_tags, tasks)

    async def newest_task(self, repo_id: str, tag: str) -> TaskRecord | None:
        """Returns the newest task of a tag on its present digest; both must be well formed."""
        return await self.read((repo_id, tag))


@asynccontextmanager
async def open_tag_reads(url: str, store: ScannerStore) -> AsyncIterator[TagReads]:
    """Opens the reads with a connection of their own: scans at work never keep a status call waiting."""
    async with (
        open_pool(url, application_name="drydock status", max_size=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        yield TagReads(pool, store, tasks)
