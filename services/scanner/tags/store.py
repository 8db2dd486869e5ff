"""The SQL of the sync: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.model.digest import Digest
from services.kernel.sql import load_queries
from services.scanner.api import SeenTag
from services.scanner.tags.records import Cause, Removal, Subject, TagQuestion

_Q = load_queries("services.scanner")
_LONG_SECONDS = 600.0
"""For the one statement that reads all tasks."""


class SyncStore:
    """Reads and writes questions, removals and pulls, and tags where a registry was asked."""

    # questions

    async def known(self, db: Connection, subjects: Sequence[Subject]) -> list[Subject]:
        """Returns those of which we have anything; repositories and instances always."""
        columns = ([s.repo_id for s in subjects], [s.tag for s in subjects], [s.digest for s in subjects])
        return [subjects[row["place"] - 1] for row in await db.fetch(_Q["known_subjects"], *columns)]

    async def tags_of_digest(self, db: Connection, repo_id: str, digest: str) -> tuple[str, ...]:
        """Returns the tags of a repository that have a digest."""
        return tuple(row["tag"] for row in await db.fetch(_Q["tags_of_digest"], repo_id, digest))

    async def put_questions(self, db: Connection, subjects: Sequence[Subject]) -> None:
        """Has somebody ask about these, and wakes them at the end of the transaction."""
        if not subjects:
            return
        await db.execute(
            _Q["put_questions"],
            [s.instance_id for s in subjects],
            [s.repo_id for s in subjects],
            [s.namespace for s in subjects],
            [s.repository for s in subjects],
            [s.tag for s in subjects],
            [s.digest for s in subjects],
        )
        await db.execute(_Q["announce_questions"])

    async def claim_questions(
        self, db: Connection, limit: int, *, question_seconds: float, first_seconds: float, longest_seconds: float
    ) -> Sequence[TagQuestion]:
        """Takes questions that are due, at most so many; each is due again after a pause that grows."""
        rows = await db.fetch(_Q["claim_questions"], limit, question_seconds, first_seconds, longest_seconds)
        return [_to_question(row) for row in rows]

    async def drop_question(self, db: Connection, question: TagQuestion) -> None:
        """Ends a question, unless there came another reason to ask."""
        await db.execute(_Q["drop_question"], *_key(question.subject), question.heard)

    async def ask_at_once(self, db: Connection, question: TagQuestion) -> None:
        """Makes a question due."""
        await db.execute(_Q["ask_at_once"], *_key(question.subject))

    # tags

    async def lock_tag(self, db: Connection, repo_id: str, tag: str) -> tuple[Digest, int] | None:
        """Locks a tag; returns its digest and revision, None when we do not know it."""
        row = await db.fetchrow(_Q["lock_tag"], repo_id, tag)
        return (Digest(row["digest"]), row["revision"]) if row else None

    async def find_tag(self, db: Connection, subject: Subject, digest: Digest, asked_at: datetime) -> bool:
        """Saves a tag that we did not know; False when somebody told of it meanwhile."""
        place = (subject.repo_id, subject.tag, subject.instance_id, subject.namespace, subject.repository)
        return await db.fetchval(_Q["find_tag"], *place, digest, asked_at) is not None

    async def move_tag(self, db: Connection, subject: Subject, digest: Digest, asked_at: datetime) -> None:
        """Writes down what the registry said of a tag, which the caller has locked."""
        await db.execute(_Q["move_tag"], subject.repo_id, subject.tag, digest, asked_at)

    async def drop_tag(self, db: Connection, repo_id: str, tag: str) -> None:
        """Drops a tag, which the caller has locked, with its pulls."""
        await db.execute(_Q["drop_tag"], repo_id, tag)
        await db.execute(_Q["drop_pull"], repo_id, tag)

    async def drop_repository(self, db: Connection, repo_id: str, up_to: int) -> int:
        """Drops the tags of a repository, up to a revision, and its pulls; returns how many tags."""
        await db.execute(_Q["drop_pulls_of_repository"], repo_id)
        return _count(await db.execute(_Q["drop_tags_of_repository"], repo_id, up_to))

    async def drop_tags_of_instance(self, db: Connection, instance_id: str, limit: int) -> int:
        """Drops some tags of an instance; returns how many."""
        return _count(await db.execute(_Q["drop_tags_of_instance"], instance_id, limit))

    async def mark_listed(
        self, db: Connection, repo_id: str, tags: Sequence[str], walk: int
    ) -> Mapping[str, Digest]:
        """Marks tags as found by a walk; returns those that we know, with the digests that they have here."""
        rows = await db.fetch(_Q["mark_listed"], repo_id, list(tags), walk)
        return {row["tag"]: Digest(row["digest"]) for row in rows}

    async def unlisted(self, db: Connection, repo_id: str, walk: int, began_at: datetime) -> tuple[str, ...]:
        """Returns the tags of a repository that a walk has not found."""
        return tuple(row["tag"] for row in await db.fetch(_Q["unlisted_tags"], repo_id, walk, began_at))

    async def tags(self, db: Connection, repo_id: str, *, after: str, limit: int) -> tuple[SeenTag, ...]:
        """Returns the tags of a repository by name, those behind `after`."""
        return tuple(
            SeenTag(tag=row["tag"], digest=row["digest"], seen_at=row["seen_at"], pulled_at=row["pulled_at"])
            for row in await db.fetch(_Q["tags"], repo_id, after, limit)
        )

    # pulls

    async def note_pulls(
        self, db: Connection, pulls: Sequence[tuple[str, str, datetime]], every_seconds: float
    ) -> None:
        """Writes down when (repository id, tag or digest) were pulled: what we know, and not too often."""
        columns = ([pull[0] for pull in pulls], [pull[1] for pull in pulls], [pull[2] for pull in pulls])
        await db.execute(_Q["note_pulls"], *columns, every_seconds)

    async def drop_pull(self, db: Connection, repo_id: str, reference: str) -> None:
        """Forgets when a tag or digest was pulled."""
        await db.execute(_Q["drop_pull"], repo_id, reference)

    # removals

    async def has_tasks(self, db: Connection, repo_id: str, digest: str) -> bool:
        """Tells whether a repository has tasks on a digest."""
        return bool(await db.fetchval(_Q["has_tasks"], repo_id, digest))

    async def has_results(self, db: Connection, repo_id: str) -> bool:
        """Tells whether a repository has tasks that are not to go as a whole already."""
        return bool(await db.fetchval(_Q["has_results"], repo_id))

    async def add_removal(self, db: Connection, removal: Removal) -> None:
        """Writes down that something is gone."""
        subject = removal.subject
        await db.execute(
            _Q["add_removal"],
            removal.removal_id,
            subject.instance_id,
            subject.repo_id,
            subject.namespace,
            subject.repository,
            subject.tag,
            subject.digest,
            removal.cause.value,
            removal.noted_at,
            removal.due_at,
        )

    async def add_removals_of_instance(
        self, db: Connection, instance_id: str, noted_at: datetime, due_at: datetime
    ) -> int:
        """Writes down that an instance is gone, once for each repository; returns how many were not yet."""
        cause = Cause.INSTANCE_DELETED.value
        rows = await db.fetch(
            _Q["add_removals_of_instance"], instance_id, cause, noted_at, due_at, timeout=_LONG_SECONDS
        )
        return len(rows)

    async def claim_removal(self, db: Connection, again_seconds: float) -> Removal | None:
        """Takes the removal that is longest due; it is due again after so long."""
        row = await db.fetchrow(_Q["claim_removal"], again_seconds)
        return _to_removal(row) if row else None

    async def purge_tasks(self, db: Connection, removal: Removal, limit: int) -> list[tuple[str, str]]:
        """Deletes some tasks of what is gone; returns scan and digest of each."""
        doomed = await self._doomed(db, removal, limit, open_=False)
        await db.execute(_Q["hold_runs_of_tasks"], doomed)
        await db.execute(_Q["hold_scans_of_tasks"], doomed)
        return [(str(row["scan_id"]), row["digest"]) for row in await db.fetch(_Q["delete_tasks"], doomed)]

    async def has_open_tasks(self, db: Connection, removal: Removal) -> bool:
        """Tells whether tasks of what is gone are still open, or still counted by the run that they belong to."""
        return bool(await self._doomed(db, removal, 1, open_=True))

    async def _doomed(self, db: Connection, removal: Removal, limit: int, *, open_: bool) -> list[str]:
        subject = removal.subject
        which = (removal.noted_at, open_, limit)
        if removal.cause is Cause.TAG_DELETED:
            rows = await db.fetch(_Q["doomed_by_tag"], subject.repo_id, subject.tag, *which, subject.digest)
        elif removal.cause is Cause.DIGEST_DELETED:
            rows = await db.fetch(_Q["doomed_by_digest"], subject.repo_id, subject.digest, *which)
        else:
            rows = await db.fetch(_Q["doomed_by_repository"], subject.repo_id, *which)
        return [str(row["task_id"]) for row in rows]

    async def lock_ended_scans(self, db: Connection, scan_ids: Sequence[str]) -> list[str]:
        """Locks those scans that have ended."""
        return [str(row["scan_id"]) for row in await db.fetch(_Q["lock_ended_scans"], list(scan_ids))]

    async def unneeded_scans(self, db: Connection, scan_ids: Sequence[str]) -> list[str]:
        """Returns those scans that neither a task nor an index has."""
        return [str(row["scan_id"]) for row in await db.fetch(_Q["unneeded_scans"], list(scan_ids))]

    async def drop_scans(self, db: Connection, scan_ids: Sequence[str]) -> tuple[list[str], int]:
        """Deletes scans, with their reports; returns the platforms that they had, and how many reports went."""
        parts = [str(row["scan_id"]) for row in await db.fetch(_Q["drop_parts"], list(scan_ids))]
        reports = len(await db.fetch(_Q["drop_reports"], list(scan_ids)))
        await db.execute(_Q["drop_scans"], list(scan_ids))
        return parts, reports

    async def count_removal(self, db: Connection, removal: Removal, tasks: int, reports: int) -> None:
        """Adds to what went of a removal."""
        await db.execute(_Q["count_removal"], removal.removal_id, tasks, reports)

    async def end_removal(self, db: Connection, removal: Removal, at: datetime) -> None:
        """Ends a removal."""
        await db.execute(_Q["end_removal"], removal.removal_id, at)

    async def removals(
        self, db: Connection, instance_id: str, *, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[Removal, ...]:
        """Returns what went of an instance, newest first, those behind `after`."""
        rows = await db.fetch(_Q["removals"], instance_id, *(after or (None, None)), limit)
        return tuple(_to_removal(row) for row in rows)


def _key(subject: Subject) -> tuple[str, str, str, str]:
    return subject.instance_id, subject.repo_id, subject.tag, subject.digest


def _count(status: str) -> int:
    return int(status.rpartition(" ")[2])


def _to_subject(row: asyncpg.Record) -> Subject:
    return Subject(
        instance_id=row["instance_id"],
        repo_id=row["repo_id"],
        namespace=row["namespace"],
        repository=row["repository"],
        tag=row["tag"],
        digest=row["digest"],
    )


def _to_question(row: asyncpg.Record) -> TagQuestion:
    return TagQuestion(
        subject=_to_subject(row), heard=row["heard"], noted_at=row["noted_at"], revision=row["revision"]
    )


def _to_removal(row: asyncpg.Record) -> Removal:
    return Removal(
        removal_id=str(row["removal_id"]),
        subject=_to_subject(row),
        cause=Cause(row["cause"]),
        noted_at=row["noted_at"],
        due_at=row["due_at"],
        ended_at=row["ended_at"],
        tasks=row["tasks"],
        reports=row["reports"],
    )
