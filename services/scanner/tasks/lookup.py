"""Looking up: from what a caller names to the task that answers for it."""

from __future__ import annotations

import dataclasses
import re
import uuid
from datetime import datetime

from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.model.reference import NO_NAMESPACE, RepositoryName, parse_repository, parse_tag
from services.kernel.model.repository_id import repository_id
from services.rules.api import Instance, RulesApi
from services.scanner.api import ImageQuery, State, TaskFilter
from services.scanner.records import PartRecord, StoredReport, TaskRecord
from services.scanner.store import ScannerStore
from services.scanner.tags.reads import TagReads

_INSTANCE_ID = re.compile(r"cri-[a-z0-9]{1,32}")
_MOST_NAMESPACES = 100
_REPO_ID = re.compile(r"crr-[a-z0-9]{1,32}")


class Lookup:
    """Finds tasks by tag, digest or id. A known image costs one indexed read and asks nobody else."""

    def __init__(self, pool: Pool, store: ScannerStore, tags: TagReads, rules: RulesApi) -> None:
        self._pool = pool
        self._store = store
        self._tags = tags
        self._rules = rules

    async def newest(self, image: ImageQuery) -> TaskRecord:
        """Returns the newest task of an image.

        Raises:
            ServiceError: IMAGE_NOT_SCANNED and the other errors of `ScannerApi`.
        """
        # Rules may be asked on the way, which needs a connection too: never while one is held here.
        instance_id = await self.instance_id(image.instance)
        if image.task_id:
            return await self._named(image, instance_id)
        repo_id = image.repo_id or _repo_id(instance_id, image)
        found = await self._look_up(repo_id, image)
        if found is None or found.image.instance_id != instance_id:
            raise await self._why_unknown(image)
        return found

    async def named(self, image: ImageQuery) -> TaskRecord:
        """Returns the task that the query names, with which all else that it says must agree.

        Raises:
            ServiceError: SCAN_TASK_NOT_EXIST, TASK_DOES_NOT_MATCH.
        """
        return await self._named(image, await self.instance_id(image.instance) if image.instance else "")

    async def _named(self, image: ImageQuery, instance_id: str) -> TaskRecord:
        async with self._pool.acquire() as db:
            record = await self.task(db, image.task_id)
        _check_agrees(image, instance_id, record)
        return record

    async def _look_up(self, repo_id: str, image: ImageQuery) -> TaskRecord | None:
        if not image.digest and not image.tag:
            raise invalid("INVALID_IMAGE", "Neither tag, digest nor task is given.", field="tag")
        if not _REPO_ID.fullmatch(repo_id):
            return None
        tag, digest = parse_tag(image.tag) if image.tag else "", image.digest
        if digest is None:
            found = await self._tags.newest_task(repo_id, tag)
            if found is not None:
                if image.engine in (None, found.engine):
                    return found
                digest = found.image.digest
        async with self._pool.acquire() as db:
            if not tag and digest:
                return await self._store.task_of_digest(db, repo_id, digest, image.engine)
            # A tag that came into being in the moment in which its task did may not know it.
            digest = digest or await self._store.tag_digest(db, repo_id, tag)
            if not digest:
                return None
            return await self._store.task_under_tag(db, repo_id, tag, digest, image.engine)

    async def _why_unknown(self, image: ImageQuery) -> ServiceError:
        """Finds the most helpful reason for knowing nothing: asks rules, so only after the fast way failed."""
        instance = await self._rules.get_instance(image.instance)
        await self._rules.registry_access(instance.instance_id)  # refuses personal editions
        name = await self.repository_name(instance, image)
        await self._rules.find_repository(instance.instance_id, name.namespace, name.name)
        gone_at = await self._gone_at(repository_id(instance.instance_id, name), image)
        if gone_at is not None:
            return not_found(
                "IMAGE_NOT_SCANNED",
                f"{name.path}:{image.tag} is deleted: by {gone_at:%Y-%m-%d %H:%M} UTC the registry had lost it.",
                hint="Until the grace period is over its results can be read by digest.",
            )
        by = f" by {image.engine.value}" if image.engine is not None else ""
        if image.tag:
            which = f" with the digest {image.digest}" if image.digest else ""
            message = f"{name.path}:{image.tag} was never scanned{which}{by}."
        else:
            message = f"{name.path}@{image.digest} was never scanned{by}."
        return not_found(
            "IMAGE_NOT_SCANNED",
            message,
            hint="Start a task, or push it while a rule matches.",
        )

    async def _gone_at(self, repo_id: str, image: ImageQuery) -> datetime | None:
        """Returns when a tag was found to be deleted that we do not know now."""
        if not image.tag or image.digest:
            return None
        async with self._pool.acquire() as db:
            known = await self._store.tag_digest(db, repo_id, image.tag)
            return None if known else await self._store.removed_at(db, repo_id, image.tag)

    async def task(self, db: Connection, task_id: str) -> TaskRecord:
        """Returns a task by its id. Raises SCAN_TASK_NOT_EXIST."""
        record = await self._store.task(db, as_uuid(task_id))
        if record is None:
            raise _no_task(task_id)
        return record

    async def checked_filter(self, wanted: TaskFilter) -> TaskFilter:
        """Returns the filter with the instance's id.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST, INVALID_REFERENCE, INVALID_NAMESPACE, INVALID_RUN_ID,
                INVALID_RULE_ID.
        """
        if wanted.tag:
            parse_tag(wanted.tag)
        if wanted.repository:
            parse_repository(wanted.repository)
        if len(wanted.namespaces) > _MOST_NAMESPACES or any("\0" in name for name in wanted.namespaces):
            message = f"At most {_MOST_NAMESPACES} names of namespaces are taken."
            raise invalid("INVALID_NAMESPACE", message, field="namespaces")
        if "\0" in wanted.rule_id:
            raise invalid("INVALID_RULE_ID", "That is no id of a rule.", field="rule_id")
        try:
            run_id = str(uuid.UUID(wanted.run_id)) if wanted.run_id else ""
        except ValueError:
            raise invalid("INVALID_RUN_ID", "The id of the run is no UUID.", field="run_id") from None
        instance = await self.instance_id(wanted.instance) if wanted.instance else ""
        return dataclasses.replace(wanted, instance=instance, run_id=run_id)

    async def instance_id(self, instance: str) -> str:
        """Returns the id; a name is looked up, what looks like an id is not."""
        if _INSTANCE_ID.fullmatch(instance):
            return instance
        return (await self._rules.get_instance(instance)).instance_id

    async def last_complete(
        self, image: ImageQuery
    ) -> tuple[TaskRecord, tuple[PartRecord, ...], dict[str, StoredReport]]:
        """Returns the last complete task on the image's digest with its platforms and their reports.

        Where a tag is named it is a task of that tag: another one's speaks under another name.
        """
        newest = await self.newest(image)
        async with self._pool.acquire() as db:
            task: TaskRecord | None = newest
            if newest.outcome.state is not State.COMPLETE and not image.task_id:
                known = newest.image
                task = await self._store.complete_task_of_digest(
                    db, known.repo_id, known.digest, image.tag, image.engine
                )
            if task is None or task.outcome.state is not State.COMPLETE:
                raise _not_complete(newest)
            parts = tuple(await self._store.parts_of(db, task.scan_id))
            packed = await self._store.reports(db, [part.scan_id for part in parts])
        return task, parts, dict(packed)

    async def repository_name(self, instance: Instance, image: ImageQuery) -> RepositoryName:
        """Returns the name of the repository that a query is about, by its id or as it was given."""
        if image.repo_id:
            repository = await self._rules.get_repository(instance.instance_id, image.repo_id)
            return RepositoryName(namespace=repository.namespace, name=repository.name)
        if not image.repository:
            raise invalid("INVALID_IMAGE", "The repository is missing.", field="repository")
        return RepositoryName(namespace=image.namespace or NO_NAMESPACE, name=image.repository)


def as_uuid(task_id: str) -> str:
    """Returns the id of a task or a run as it is kept. Raises SCAN_TASK_NOT_EXIST for what cannot be one."""
    try:
        return str(uuid.UUID(task_id))
    except ValueError:
        raise _no_task(task_id) from None


def _no_task(task_id: str) -> ServiceError:
    return not_found(
        "SCAN_TASK_NOT_EXIST",
        f"There is no scan task {task_id[:64]!r}.",
        hint="`drydock task list` shows those that are kept.",
    )


def _check_agrees(image: ImageQuery, instance_id: str, record: TaskRecord) -> None:
    known = record.image
    claims = (
        ("instance_id", instance_id, known.instance_id),
        ("repo_id", image.repo_id, known.repo_id),
        ("tag", image.tag, known.tag),
        ("digest", image.digest or "", known.digest),
        ("engine", image.engine.value if image.engine is not None else "", record.engine.value),
    )
    for field, claimed, actual in claims:
        if claimed and claimed != actual:
            raise invalid(
                "TASK_DOES_NOT_MATCH",
                f"Task {record.task_id} is not about that {field.removesuffix('_id')}.",
                field=field,
                hint="Leave out either the task or the image.",
            )


def _repo_id(instance_id: str, image: ImageQuery) -> str:
    if not image.repository:
        raise invalid("INVALID_IMAGE", "The repository is missing.", field="repository")
    name = RepositoryName(namespace=image.namespace or NO_NAMESPACE, name=image.repository)
    return repository_id(instance_id, name)


def _not_complete(task: TaskRecord) -> ServiceError:
    if task.outcome.state is State.FAILED:
        message = f"The scan of {task.image.digest} failed: {task.outcome.message}"
        hint = "It has no results: mend the cause, and scan again."
    else:
        message = f"The scan of {task.image.digest} is not complete yet."
        hint = "Ask for the status until it is COMPLETE."
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "SCAN_NOT_COMPLETE",
        message,
        hint=hint,
        metadata={"state": task.outcome.state.value, "reason": task.outcome.reason},
    )
