"""Reads of tags: all callers that wait at the same moment are answered by one query.

The way to the database and back costs more than the one indexed read that a status call is, so callers share it.
No answer is staler than the last commit before its call: a call joins only a query that was not sent yet.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.kernel.db import Pool, open_pool
from services.scanner.records import TaskRecord
from services.scanner.store import ScannerStore

_MOST = 500
"""Tags in one query."""
_GATHER_SECONDS = 0.0005
"""Pause before the next query for each caller that shared the last one; nobody who calls alone ever waits."""
_LONGEST_SECONDS = 0.002


@dataclasses.dataclass(frozen=True, slots=True)
class _Asked:
    repo_id: str
    tag: str
    answer: asyncio.Future[TaskRecord | None]


class TagReads:
    """Answers for tags; see `open_tag_reads`."""

    def __init__(self, pool: Pool, store: ScannerStore, tasks: asyncio.TaskGroup) -> None:
        self._pool = pool
        self._store = store
        self._tasks = tasks
        self._waiting: list[_Asked] = []
        self._reading = False

    async def newest_task(self, repo_id: str, tag: str) -> TaskRecord | None:
        """Returns the newest task of a tag on its present digest.

        Both must be well formed: a text that the database cannot take would fail every caller of the same query.
        """
        asked = _Asked(repo_id, tag, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if not self._reading:
            self._begin()
        return await asked.answer

    def _begin(self) -> None:
        self._reading = True
        self._tasks.create_task(self._read(), name="scanner tag reads")

    async def _read(self) -> None:
        """Answers whoever waits, until nobody does."""
        batch: list[_Asked] = []
        try:
            async with self._pool.acquire() as db:
                while self._waiting:
                    # Only now: who came while the last query was under way is asked for by this one.
                    batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                    found = await self._store.tasks_of_tags(db, [(asked.repo_id, asked.tag) for asked in batch])
                    for asked, task in zip(batch, found, strict=True):
                        if not asked.answer.done():  # its caller may have given up
                            asked.answer.set_result(task)
                    await asyncio.sleep(min((len(batch) - 1) * _GATHER_SECONDS, _LONGEST_SECONDS))
        except Exception as error:  # noqa: BLE001 - raised again for each caller
            for asked in (*batch, *self._waiting):
                if not asked.answer.done():
                    asked.answer.set_exception(error)
            self._waiting = []
        finally:
            self._reading = False
        if self._waiting:  # somebody came while the connection went back
            self._begin()


@asynccontextmanager
async def open_tag_reads(url: str, store: ScannerStore) -> AsyncIterator[TagReads]:
    """Opens the reads with a connection of their own: scans at work never keep a status call waiting."""
    async with (
        open_pool(url, application_name="drydock status", max_size=1) as pool,
        asyncio.TaskGroup() as tasks,
    ):
        yield TagReads(pool, store, tasks)
