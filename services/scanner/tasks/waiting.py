"""Waiting: until the newest task on an image has ended, by its row alone.

A waiter holds no connection. It looks, sleeps until there is news of the digest, and looks again: a notification
that went missing costs it a pause, never the answer, and whoever asks another process is told the same.
"""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager

from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.rpc import call_context
from services.kernel.wakeup import wait
from services.scanner.records import PartRecord, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tags.reads import SharedReads
from services.scanner.tasks.news import Follower, ImageNews

_SHARE = 2
"""A key may have this many places for each that it leaves to the others."""
DigestReads = SharedReads[tuple[str, Digest, Engine | None], TaskRecord | None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What is waited for: the newest task of a repository on a digest, or one task."""

    repo_id: str
    digest: Digest
    engine: Engine | None = None
    task_id: str = ""
    """When given, that task and no newer one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How an image stands; two that are equal tell the same."""

    task: TaskRecord | None
    """None: nobody has asked for a scan of it."""
    parts: tuple[PartRecord, ...] = ()


class Waiting:
    """Everybody who waits, within a bound."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ScannerStore,
        reads: DigestReads,
        news: ImageNews,
        most: int,
        look_seconds: float,
        random_source: random.Random,
        stopping: asyncio.Event,
    ) -> None:
        """Takes `most` waiters at once; each looks by itself about every `look_seconds`.

        They end with `stopping`, of which the last news tells.
        """
        self._pool = pool
        self._store = store
        self._reads = reads
        self._news = news
        self._most = most
        self._look_seconds = look_seconds
        self._random = random_source
        self._stopping = stopping
        self._count = 0
        self._by_key: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """How many wait, or watch, now."""
        return self._count

    async def until_ended(self, subject: Subject, seconds: float) -> TaskRecord | None:
        """Returns the task once it has ended, or how it stands when the time is up: None where there is none.

        Raises:
            ServiceError: TOO_MANY_WAITERS.
        """
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        with self._counted(), self._news.follower([subject.digest]) as follower:
            while True:
                follower.news.clear()
                task = await self.look(subject)
                left = give_up - loop.time()
                if left <= 0 or (task is not None and task.outcome.state.ended):
                    return task
                await self._pause(follower, left)

    async def changes(self, subject: Subject) -> AsyncIterator[Standing]:
        """Yields how the image stands, at once and whenever that changes, up to the end of its newest task.

        Raises:
            ServiceError: TOO_MANY_WAITERS.
        """
        told: Standing | None = None
        with self._counted(), self._news.follower([subject.digest]) as follower:
            while True:
                follower.news.clear()
                task = await self.look(subject)
                standing = Standing(task=task, parts=tuple(await self._parts(task)))
                if standing != told:
                    told = standing
                    yield standing
                if task is not None and task.outcome.state.ended:
                    return
                if not follower.follow(part.digest for part in standing.parts):
                    await self._pause(follower, self._look_seconds)

    async def look(self, subject: Subject) -> TaskRecord | None:
        """Returns how the task stands now."""
        if not subject.task_id:
            return await self._reads.read((subject.repo_id, subject.digest, subject.engine))
        async with self._pool.acquire() as db:
            return await self._store.task(db, subject.task_id)

    async def _parts(self, task: TaskRecord | None) -> Sequence[PartRecord]:
        if task is None:
            return ()
        async with self._pool.acquire() as db:
            return await self._store.parts_of(db, task.scan_id)

    async def _pause(self, follower: Follower, longest: float) -> None:
        await wait(follower.news, min(longest, self._look_seconds * self._random.uniform(0.75, 1.25)))
        if self._stopping.is_set():
            raise ServiceError(
                Kind.UNAVAILABLE,
                "STOPPING",
                "The server stops.",
                hint="Ask again: another copy, or this one after its start, tells the same.",
                retry_after=0.5,
            )

    @contextmanager
    def _counted(self) -> Iterator[None]:
        free, key = self._most - self._count, call_context.actor()
        if not free:
            raise _too_many(f"{self._most} calls wait for scans here already.")
        # So there is always room for one more key: the fewer places are left, the fewer a key may have.
        if key and self._by_key[key] >= _SHARE * free:
            raise _too_many(
                f"{self._by_key[key]} calls of the key {key!r} wait already, and {free} places are left."
            )
        self._count += 1
        self._by_key[key] += 1
        try:
            yield
        finally:
            self._count -= 1
            self._by_key[key] -= 1
            if not self._by_key[key]:
                del self._by_key[key]


def _too_many(message: str) -> ServiceError:
    return ServiceError(
        Kind.RESOURCE_EXHAUSTED,
        "TOO_MANY_WAITERS",
        message,
        hint="Ask for the status now and then, or raise DRYDOCK_SCANNER_MOST_WAITERS.",
        retry_after=5.0,
    )
