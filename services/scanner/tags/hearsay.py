"""Hearsay: what is told of tags besides pushes. A pull is written down; all else is only ever a reason to ask."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from services.kernel.bus.interface import Record
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.scanner.convert_events import from_image_event
from services.scanner.events import Deleted, Listed, Pulled
from services.scanner.settings import ScannerSettings
from services.scanner.tags.records import Subject
from services.scanner.tags.store import SyncStore


class Hearsay:
    """Handles `drydock.image.events.v1`. Idempotent: whoever asks twice gets the same answer."""

    def __init__(self, *, pool: Pool, store: SyncStore, clock: Clock, settings: ScannerSettings) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._settings = settings

    async def take(self, records: Sequence[Record]) -> None:
        """Writes down pulls, and what is to be asked because of deletions and lists.

        Raises:
            ServiceError: BAD_EVENT when a record cannot be read.
        """
        events = [from_image_event(record) for record in records]
        deleted = [event.subject for event in events if isinstance(event, Deleted)]
        lists = [event for event in events if isinstance(event, Listed)]
        pulls = [event for event in events if isinstance(event, Pulled)]
        if not (deleted or lists or pulls):
            return
        async with self._pool.acquire() as db, db.transaction():
            doubtful = await self._deleted(db, deleted)
            for listed in lists:
                doubtful += await self._listed(db, listed)
            await self._store.put_questions(db, doubtful)
            await self._pulled(db, pulls)

    async def _deleted(self, db: Connection, subjects: Sequence[Subject]) -> list[Subject]:
        """Returns what is to be asked: what is said to be deleted, and the tags that a digest takes with it."""
        if not subjects:
            return []
        doubtful = await self._store.known(db, subjects)
        for subject in subjects:
            if subject.digest:
                for tag in await self._store.tags_of_digest(db, subject.repo_id, subject.digest):
                    doubtful.append(dataclasses.replace(subject, tag=tag, digest=""))
        return doubtful

    async def _listed(self, db: Connection, listed: Listed) -> list[Subject]:
        """Returns the tags that are new to us, that have another digest, or that the whole list lacks."""
        repo_id = listed.subject.repo_id
        known = await self._store.mark_listed(db, repo_id, tuple(listed.tags), listed.walk)
        tags = [tag for tag, digest in listed.tags.items() if known.get(tag) != digest]
        if listed.last:
            tags += await self._store.unlisted(db, repo_id, listed.walk, listed.began_at)
        return [dataclasses.replace(listed.subject, tag=tag) for tag in tags]

    async def _pulled(self, db: Connection, pulls: Sequence[Pulled]) -> None:
        if not pulls:
            return
        now = self._clock.now()
        rows = [
            (pull.repo_id, reference, min(pull.occurred_at, now))
            for pull in pulls
            for reference in pull.references
        ]
        await self._store.note_pulls(db, rows, self._settings.pull_seconds)
