"""Account: what is seen of tags, and what became of those that are gone, for people to read."""

from __future__ import annotations

from services.kernel.db import Pool
from services.kernel.model import page
from services.kernel.model.page import Page
from services.scanner import api
from services.scanner.tags.records import Removal
from services.scanner.tags.store import SyncStore


class Account:
    """Lists tags and removals."""

    def __init__(self, pool: Pool, store: SyncStore) -> None:
        self._pool = pool
        self._store = store

    async def tags(self, repo_id: str, *, page_size: int, page_token: str) -> Page[api.SeenTag]:
        """Lists the tags of a repository by name."""
        size = page.page_size(page_size)
        (after,) = page.decode_token(page_token, "tags", repo_id, length=1) or ("",)
        async with self._pool.acquire() as db:
            found = await self._store.tags(db, repo_id, after=after, limit=size + 1)
        items = found[:size]
        more = page.encode_token((items[-1].tag,), "tags", repo_id) if len(found) > size else ""
        return Page(items=items, next_token=more)

    async def removals(self, instance_id: str, *, page_size: int, page_token: str) -> Page[api.Removal]:
        """Lists what went of an instance, newest first."""
        size = page.page_size(page_size)
        question = ("removals", instance_id)
        after = page.decode_moment(page_token, *question, is_uuid=True)
        async with self._pool.acquire() as db:
            found = await self._store.removals(db, instance_id, after=after, limit=size + 1)
        more = ""
        if len(found) > size:
            last = found[size - 1]
            more = page.encode_token((last.noted_at.isoformat(), last.removal_id), *question)
        return Page(items=tuple(map(_to_removal, found[:size])), next_token=more)


def _to_removal(record: Removal) -> api.Removal:
    subject = record.subject
    return api.Removal(
        removal_id=record.removal_id,
        instance_id=subject.instance_id,
        repo_id=subject.repo_id,
        namespace=subject.namespace,
        repository=subject.repository,
        tag=subject.tag,
        digest=subject.digest,
        cause=record.cause.value,
        noted_at=record.noted_at,
        due_at=record.due_at,
        ended_at=record.ended_at,
        tasks=record.tasks,
        reports=record.reports,
    )
