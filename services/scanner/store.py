"""All SQL of the scanner: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from services.kernel.db import Connection
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName, parse_repository
from services.kernel.sql import load_queries
from services.scanner.api import TaskFilter
from services.scanner.columns import (
    counts_column,
    message_column,
    outcome_columns,
    tag_columns,
    task_columns,
    word_column,
)
from services.scanner.matcher import generation_name
from services.scanner.records import (
    DoubtedTag,
    ImageAddress,
    Lease,
    Outcome,
    PartRecord,
    ScanKey,
    ScannedImage,
    ScanRecord,
    StoredReport,
    TaskRecord,
)
from services.scanner.rows import to_doubted_tag, to_part, to_report, to_scan, to_task

_Q = load_queries("services.scanner")


class ScannerStore:
    """Reads and writes the schema `scanner`."""

    # tags

    async def see_events(self, db: Connection, event_ids: Sequence[str], seen_at: datetime) -> frozenset[str]:
        """Marks image events as taken and returns those that were not yet."""
        rows = await db.fetch(_Q["see_events"], list(event_ids), seen_at)
        return frozenset(str(row["event_id"]) for row in rows)

    async def lock_tags(self, db: Connection, images: Sequence[ImageAddress]) -> None:
        """Locks the tags of images, where known, until the transaction ends."""
        await db.execute(_Q["lock_tags"], [image.repo_id for image in images], [image.tag for image in images])

    async def see_tags(self, db: Connection, pushes: Sequence[tuple[ImageAddress, int, datetime]]) -> bool:
        """Moves tags, which the caller has locked, to pushed digests, or not, in this order.

        Each push has its revision and its moment. Returns whether any of the tags is in doubt.
        """
        rows = await db.fetchmany(
            _Q["see_tag"], [(*tag_columns(image), revision, moment) for image, revision, moment in pushes]
        )
        return any(row["doubted"] for row in rows)

    async def point_tag(
        self, db: Connection, image: ImageAddress, revision: int, task_id: str, asked_at: datetime
    ) -> None:
        """Moves a tag to what the registry said and its task, unless a push came in since that revision."""
        await db.execute(_Q["point_tag"], *tag_columns(image), revision, task_id, asked_at)

    async def attach_tasks(self, db: Connection, tags: Sequence[tuple[ImageAddress, int]]) -> None:
        """Gives tags, which the caller has locked, the newest task on their digest, if that is the image's."""
        rows = [(*tag_columns(image), revision) for image, revision in tags]
        await db.executemany(_Q["attach_task"], rows)

    async def meet_tag(self, db: Connection, image: ImageAddress, asked_at: datetime) -> bool:
        """Gives a locked tag the newest task on its digest, if it has that; returns whether it is in doubt."""
        return bool(await db.fetchval(_Q["meet_tag"], *tag_columns(image), 0, asked_at))

    async def announce_doubts(self, db: Connection) -> None:
        """Wakes those who ask registries at the end of the transaction."""
        await db.execute(_Q["announce_doubts"])

    async def claim_doubts(
        self, db: Connection, limit: int, *, question_seconds: float, first_seconds: float, longest_seconds: float
    ) -> Sequence[DoubtedTag]:
        """Takes doubted tags to ask for, at most so many; each is due again after a pause that grows."""
        rows = await db.fetch(_Q["claim_doubts"], limit, question_seconds, first_seconds, longest_seconds)
        return [to_doubted_tag(row) for row in rows]

    async def settle_tag(self, db: Connection, tag: DoubtedTag, digest: Digest, asked_at: datetime) -> bool:
        """Ends the doubt about a tag, which the caller has locked; False when something came in since."""
        place = (tag.image.repo_id, tag.image.tag, tag.revision)
        return await db.fetchval(_Q["settle_tag"], *place, digest, asked_at) is not None

    async def ask_again(self, db: Connection, image: ImageAddress) -> None:
        """Makes a tag that is still in doubt due at once."""
        await db.execute(_Q["ask_again"], image.repo_id, image.tag)

    async def tag_revision(self, db: Connection, repo_id: str, tag: str) -> int | None:
        """Returns the revision of a tag; None for one never seen."""
        revision: int | None = await db.fetchval(_Q["tag_revision"], repo_id, tag)
        return revision

    async def tag_digest(self, db: Connection, repo_id: str, tag: str) -> Digest | None:
        """Returns the digest of a tag as last seen; None for one never seen."""
        digest = await db.fetchval(_Q["tag_digest"], repo_id, tag)
        return Digest(digest) if digest else None

    async def removed_at(self, db: Connection, repo_id: str, tag: str) -> datetime | None:
        """Returns when a tag, or its repository, was last found to be gone."""
        moment: datetime | None = await db.fetchval(_Q["removed_at"], repo_id, tag)
        return moment

    # tasks

    async def insert_tasks(self, db: Connection, tasks: Sequence[TaskRecord]) -> None:
        """Saves open tasks whose scans the caller holds; an id that exists is left as it is."""
        await db.executemany(_Q["insert_task"], [task_columns(task) for task in tasks])

    async def tasks_by_id(self, db: Connection, task_ids: Sequence[str]) -> Mapping[str, TaskRecord]:
        """Returns those of the tasks that are there, by id."""
        rows = await db.fetch(_Q["tasks_by_id"], list(task_ids))
        return {str(row["task_id"]): to_task(row) for row in rows}

    async def task(self, db: Connection, task_id: str) -> TaskRecord | None:
        """Returns one task."""
        row = await db.fetchrow(_Q["task"], task_id)
        return to_task(row) if row else None

    async def tasks_of_tags(self, db: Connection, tags: Sequence[tuple[str, str]]) -> Sequence[TaskRecord | None]:
        """Returns the newest task of each (repository id, tag), on the digest that the tag has now."""
        rows = await db.fetch(_Q["tasks_of_tags"], [repo_id for repo_id, _ in tags], [tag for _, tag in tags])
        found = {row["place"]: row for row in rows}
        return [to_task(found[place]) if place in found else None for place in range(1, len(tags) + 1)]

    async def tasks_of_digests(
        self, db: Connection, images: Sequence[tuple[str, Digest, Engine | None]]
    ) -> Sequence[TaskRecord | None]:
        """Returns the newest task of each (repository id, digest, engine), under any tag or none."""
        columns = zip(*((repo_id, digest, word_column(engine)) for repo_id, digest, engine in images), strict=True)
        rows = await db.fetch(_Q["tasks_of_digests"], *map(list, columns))
        found = {row["place"]: row for row in rows}
        return [to_task(found[place]) if place in found else None for place in range(1, len(images) + 1)]

    async def task_of_digest(
        self, db: Connection, repo_id: str, digest: Digest, engine: Engine | None = None
    ) -> TaskRecord | None:
        """Returns the newest task of a repository on a digest, under any tag or none."""
        row = await db.fetchrow(_Q["task_of_digest"], repo_id, digest, word_column(engine))
        return to_task(row) if row else None

    async def task_under_tag(
        self, db: Connection, repo_id: str, tag: str, digest: Digest, engine: Engine | None = None
    ) -> TaskRecord | None:
        """Returns the newest task of a tag on a digest that it has or had."""
        row = await db.fetchrow(_Q["task_under_tag"], repo_id, tag, digest, word_column(engine))
        return to_task(row) if row else None

    async def complete_task_of_digest(
        self, db: Connection, repo_id: str, digest: Digest, tag: str, engine: Engine | None = None
    ) -> TaskRecord | None:
        """Returns the last complete task of a repository on a digest, of one tag unless it is empty."""
        row = await db.fetchrow(_Q["complete_task_of_digest"], repo_id, digest, tag, word_column(engine))
        return to_task(row) if row else None

    async def complete_tasks_of_engines(
        self, db: Connection, repo_id: str, digest: Digest, engines: Sequence[Engine]
    ) -> Sequence[TaskRecord]:
        """Returns the newest complete task of a repository on a digest by each engine, the newest one first."""
        rows = await db.fetch(
            _Q["complete_tasks_of_engines"], repo_id, digest, [engine.value for engine in engines]
        )
        return [to_task(row) for row in rows]

    async def earlier_task(self, db: Connection, task: TaskRecord) -> TaskRecord | None:
        """Returns the newest complete task before this one, of its tag, else of its digest, by its engine."""
        image, place = task.image, (task.engine.value, task.created_at, task.task_id)
        row = None
        if image.tag:
            row = await db.fetchrow(_Q["earlier_task_of_tag"], image.repo_id, image.tag, *place)
        if row is None:
            row = await db.fetchrow(_Q["earlier_task_of_digest"], image.repo_id, image.digest, *place)
        return to_task(row) if row else None

    async def tasks(
        self,
        db: Connection,
        wanted: TaskFilter,
        *,
        after: tuple[datetime, str] | None,
        limit: int,
    ) -> Sequence[TaskRecord]:
        """Returns tasks, newest first, after a position (creation, id); the instance is named by its id."""
        repository = parse_repository(wanted.repository) if wanted.repository else None
        arguments = (
            *(after or (None, None)),
            limit,
            wanted.instance,
            wanted.state.value if wanted.state else "",
            wanted.rule_id,
            wanted.engine.value if wanted.engine else "",
            repository.namespace if repository else "",
            repository.name if repository else "",
            wanted.tag,
            wanted.since,
            wanted.until,
            wanted.namespaces,
        )
        if wanted.run_id:
            return [to_task(row) for row in await db.fetch(_Q["tasks_of_run"], *arguments, wanted.run_id)]
        return [to_task(row) for row in await db.fetch(_Q["tasks"], *arguments)]

    async def change_tasks(
        self, db: Connection, scan_ids: Sequence[str], outcome: Outcome, of: RepositoryName | None = None
    ) -> Sequence[TaskRecord]:
        """Moves the open tasks of scans, or one repository's alone, to a passing state; returns them so."""
        state, message = outcome.state.value, message_column(outcome.message)
        place = (of.namespace, of.name) if of else ("", "")
        rows = await db.fetch(_Q["change_tasks"], list(scan_ids), state, outcome.reason, message, *place)
        return [to_task(row) for row in rows]

    async def end_tasks(
        self, db: Connection, scan_id: str, outcome: Outcome, ended_at: datetime
    ) -> Sequence[TaskRecord]:
        """Ends the open tasks of a scan and returns them as they are now."""
        rows = await db.fetch(_Q["end_tasks"], scan_id, *outcome_columns(outcome), ended_at)
        return [to_task(row) for row in rows]

    async def end_asked_tasks(
        self, db: Connection, scan_id: str, asked: ScanRecord, outcome: Outcome, ended_at: datetime
    ) -> Sequence[TaskRecord]:
        """Ends the open tasks of a scan that an attempt asked for; returns them as they are now.

        It asked its repository, for its lender, or for all who lend nothing.

        The scan is the attempt's own, or an index that the latter is a part of.
        """
        place = (asked.namespace, asked.repository, asked.begun, asked.lender or None)
        rows = await db.fetch(_Q["end_asked_tasks"], scan_id, *outcome_columns(outcome), ended_at, *place)
        return [to_task(row) for row in rows]

    async def waiting_repository(self, db: Connection, scan_ids: Sequence[str]) -> RepositoryName | None:
        """Returns the repository that has waited longest for one of the scans; None when nobody waits."""
        row = await db.fetchrow(_Q["waiting_repository"], list(scan_ids))
        return RepositoryName(namespace=row["namespace"], name=row["repository"]) if row else None

    # scans

    async def hold_scans(self, db: Connection, scans: Sequence[tuple[ScanKey, ImageAddress, str]]) -> None:
        """Saves pending scans of (key, image, platform), in this order, and locks those that are there."""
        await db.executemany(
            _Q["hold_scan"],
            [
                (
                    key.scan_id,
                    key.instance_id,
                    image.namespace,
                    image.repository,
                    key.digest,
                    platform,
                    key.engine.value,
                    key.engine_version,
                    key.advisories_version,
                )
                for key, image, platform in scans
            ],
        )

    async def scans(self, db: Connection, scan_ids: Sequence[str]) -> Mapping[str, ScanRecord]:
        """Returns scans that the caller holds, by id."""
        return {str(row["scan_id"]): to_scan(row) for row in await db.fetch(_Q["scans"], list(scan_ids))}

    async def lock_scan(self, db: Connection, scan_id: str) -> ScanRecord:
        """Returns one scan, locked until the transaction ends.

        Raises:
            LookupError: there is none.
        """
        row = await db.fetchrow(_Q["lock_scan"], scan_id)
        if row is None:
            raise LookupError(scan_id)
        return to_scan(row)

    async def restart_scan(self, db: Connection, key: ScanKey, namespace: str, repository: str) -> None:
        """Makes a scan pending again, to be read from that repository."""
        await db.execute(_Q["restart_scan"], key.scan_id, namespace, repository, key.advisories_version)

    async def begin_scan(self, db: Connection, scan_id: str, indexes: Collection[str]) -> tuple[str, bytes]:
        """Marks a scan, a part of these indexes, as running from this turn on; returns its lender and the loan."""
        row = await db.fetchrow(_Q["begin_scan"], scan_id, [scan_id, *indexes])
        return (str(row["lender"]), row["loan"]) if row and row["lender"] else ("", b"")

    async def change_scan(self, db: Connection, scan_id: str, outcome: Outcome) -> None:
        """Moves a scan to a passing state."""
        await db.execute(
            _Q["change_scan"], scan_id, outcome.state.value, outcome.reason, message_column(outcome.message)
        )

    async def name_platform(self, db: Connection, scan_id: str, platform: str) -> None:
        """Writes down the platform of a scan."""
        await db.execute(_Q["name_platform"], scan_id, platform)

    async def end_scan(self, db: Connection, scan_id: str, outcome: Outcome, ended_at: datetime) -> None:
        """Ends a scan."""
        await db.execute(_Q["end_scan"], scan_id, *outcome_columns(outcome), ended_at)

    async def insert_part(self, db: Connection, index_id: str, scan_id: str, platform: str, position: int) -> None:
        """Makes a scan a platform of an index."""
        await db.execute(_Q["insert_part"], index_id, scan_id, platform, position)

    async def indexes_of(self, db: Connection, scan_id: str) -> Mapping[str, str]:
        """Returns the open indexes that a scan is a part of, and as which platform; locks them."""
        platforms = {row["index_id"]: row["platform"] for row in await db.fetch(_Q["indexes_of"], scan_id)}
        if not platforms:
            return {}
        locked = await db.fetch(_Q["lock_read_indexes"], list(platforms))
        return {str(row["scan_id"]): platforms[row["scan_id"]] for row in locked}

    async def parts_of(self, db: Connection, scan_id: str) -> Sequence[PartRecord]:
        """Returns the platforms of an index in its order, or the one image itself."""
        return [to_part(row) for row in await db.fetch(_Q["parts_of"], scan_id)]

    # reports and layers

    async def put_report(self, db: Connection, scan_id: str, scanned: ScannedImage) -> None:
        """Stores a report, and what the image was matched by: to be matched again when advisories change."""
        found, version = scanned.inventory, scanned.outcome.advisories_version
        if found is None:
            await db.execute(_Q["put_report"], scan_id, scanned.report, None, None, 0, "{}")
            return
        generation = await db.fetchval(_Q["put_inventory"], found.digest, found.content, generation_name(version))
        beside = counts_column(found.beside)
        await db.execute(
            _Q["put_report"], scan_id, scanned.report, found.digest, found.verdict, generation, beside
        )

    async def reports(self, db: Connection, scan_ids: Sequence[str]) -> Mapping[str, StoredReport]:
        """Returns the reports of scans as they stand, by scan; those without one are missing."""
        rows = await db.fetch(_Q["reports"], list(scan_ids))
        return {str(row["scan_id"]): to_report(row) for row in rows}

    # work

    async def enqueue(self, db: Connection, waiting: Sequence[tuple[str, int, str]]) -> None:
        """Puts scans to be done: (scan, lane, whose share it takes), in this order; a better lane wins."""
        await db.executemany(_Q["enqueue"], waiting)

    async def hasten(self, db: Connection, scan_id: str, lane: int) -> None:
        """Moves a waiting scan, or the waiting platforms of an index, to a better lane."""
        await db.execute(_Q["hasten"], scan_id, lane)

    async def announce_work(self, db: Connection) -> None:
        """Wakes idle workers at the end of the transaction."""
        await db.execute(_Q["announce_work"])

    async def claim(self, db: Connection, owner: str, lease_seconds: float, lanes: Sequence[int]) -> Lease | None:
        """Leases a lost scan of these lanes, or else the next one of the first that has any; None if none has."""
        row = await db.fetchrow(_Q["claim"], owner, lease_seconds, list(lanes))
        if row is None:
            return None
        return Lease(scan_id=str(row["scan_id"]), fence=row["fence"], attempts=row["attempts"], lane=row["lane"])

    async def rouse(self, db: Connection, limit: int) -> int:
        """Gives turns to scans that were put off until now, at most so many; returns how many."""
        return len(await db.fetch(_Q["rouse"], limit))

    async def heartbeat(self, db: Connection, lease: Lease, lease_seconds: float) -> bool:
        """Prolongs a lease; False when it was lost."""
        return await db.fetchval(_Q["heartbeat"], lease.scan_id, lease.fence, lease_seconds) is not None

    async def finish(self, db: Connection, lease: Lease) -> bool:
        """Ends the work; False when the lease was lost."""
        return await db.fetchval(_Q["finish"], lease.scan_id, lease.fence) is not None

    async def postpone(self, db: Connection, lease: Lease, seconds: float, *, counted: bool) -> bool:
        """Gives the lease back until later, with the attempt if it does not count; False when it was lost."""
        given_back = 0 if counted else 1
        return await db.fetchval(_Q["postpone"], lease.scan_id, lease.fence, seconds, given_back) is not None

    async def hand_on(self, db: Connection, lease: Lease) -> bool:
        """Gives the lease back at once, for a first attempt elsewhere; False when it was lost."""
        return await db.fetchval(_Q["hand_on"], lease.scan_id, lease.fence) is not None

    async def release(self, db: Connection, lease: Lease) -> None:
        """Gives the lease back at once, uncounted."""
        await db.execute(_Q["release"], lease.scan_id, lease.fence)
