"""The scanner's application: begins tasks on what the registry has, and answers the rest from its own tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.errors import Kind, ServiceError, invalid, not_found
from services.kernel.ids import Ids, checked_request_id
from services.kernel.model import page
from services.kernel.model.access import RegistryAccess
from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.page import Page
from services.kernel.model.reference import NO_NAMESPACE, RepositoryName, parse_repository
from services.kernel.model.report import Report
from services.kernel.model.repository_id import repository_id
from services.rules.api import RulesApi
from services.scanner.api import (
    Comparison,
    FindingFilter,
    Findings,
    ImageQuery,
    ImageStanding,
    PlacedFinding,
    Removal,
    Run,
    SeenTag,
    Task,
    TaskFilter,
)
from services.scanner.events import ScanRequested
from services.scanner.gate.api import GateAnswer, GatePolicy
from services.scanner.lanes import LANE_PERSON
from services.scanner.records import ImageAddress, PartRecord, StoredReport, TaskRecord
from services.scanner.reports import addressed_report, read_report
from services.scanner.shown import to_platform, to_task
from services.scanner.store import ScannerStore
from services.scanner.stream.reads import StreamReads
from services.scanner.tags.account import Account
from services.scanner.tasks.compare import compare_tasks
from services.scanner.tasks.control import Control
from services.scanner.tasks.gating import Gating
from services.scanner.tasks.intake import Intake
from services.scanner.tasks.loans import Loans
from services.scanner.tasks.lookup import Lookup, as_uuid
from services.scanner.tasks.platforms import merge_findings, platform_reports
from services.scanner.tasks.present import PresentDigests
from services.scanner.tasks.runs import Runs
from services.scanner.tasks.waiting import Subject, Waiting

_WATCH_SECONDS = 3600.0


class ScannerApplication:
    """Implements `services.scanner.api.ScannerApi`."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: ScannerStore,
        lookup: Lookup,
        intake: Intake,
        runs: Runs,
        control: Control,
        rules: RulesApi,
        present: PresentDigests,
        waiting: Waiting,
        gating: Gating,
        clock: Clock,
        ids: Ids,
        account: Account,
        loans: Loans,
        stream: StreamReads,
    ) -> None:
        self._pool = pool
        self._store = store
        self._lookup = lookup
        self._intake = intake
        self._runs = runs
        self._control = control
        self._rules = rules
        self._present = present
        self._waiting = waiting
        self._gating = gating
        self._clock = clock
        self._ids = ids
        self._account = account
        self._loans = loans
        self._stream = stream

    # tasks

    async def create_task(
        self,
        image: ImageQuery,
        *,
        engine: Engine | None = None,
        target_ids: tuple[str, ...] = (),
        request_id: str = "",
        access: RegistryAccess | None = None,
    ) -> Task:
        """Begins a task on what the registry has under the tag now, or on a digest that the caller can pull."""
        task_id = checked_request_id(request_id) if request_id else self._ids.uuid()
        instance = await self._rules.get_instance(image.instance)
        own = await self._rules.registry_access(instance.instance_id)
        chosen = engine or image.engine or instance.engine
        if chosen is not instance.engine:
            for member in chosen.members:
                await self._rules.check_engine(instance.instance_id, member)
        name = await self._lookup.repository_name(instance, image)
        repo_id = repository_id(instance.instance_id, name)
        async with self._pool.acquire() as db:
            begun = await self._store.task(db, task_id) if request_id else None
            # Before the registry is asked: a push that comes in between is newer than its answer.
            revision = await self._store.tag_revision(db, repo_id, image.tag) or 0
        if begun:
            return _same_request(begun, repo_id, image)
        await self._rules.check_targets(target_ids)
        asked_at = self._clock.now()
        if access is None:
            digest = await self._present.ask(own, name, image)
        else:
            digest = _digest_alone(image)
        await self._rules.see_repository(instance.instance_id, name.namespace, name.name)
        request = ScanRequested(
            task_id=task_id,
            image=ImageAddress(
                instance_id=instance.instance_id,
                repo_id=repo_id,
                namespace=name.namespace,
                repository=name.name,
                tag=image.tag,
                digest=digest,
            ),
            revision=revision,
            engine=chosen,
            rule_ids=(),
            target_ids=target_ids,
            requested_at=self._clock.now(),
            asked_at=asked_at,
            traceparent=trace.current(),
            lane=LANE_PERSON,
            loan=self._loans.seal(task_id, access) if access is not None else b"",
        )
        async with self._pool.acquire() as db, db.transaction():
            [task] = await self._intake.accept(db, [request])
        return _same_request(task, repo_id, image)

    async def get_task(self, task_id: str) -> Task | Run:
        """Reads one task and its platforms, or one run."""
        async with self._pool.acquire() as db:
            record = await self._store.task(db, as_uuid(task_id))
            parts = await self._store.parts_of(db, record.scan_id) if record else ()
        if record is None:
            return await self._runs.get(as_uuid(task_id))
        return to_task(record, tuple(to_platform(part) for part in parts))

    async def list_tasks(
        self, wanted: TaskFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Task]:
        """Reads a page of tasks by creation, newest first."""
        size = page.page_size(page_size)
        wanted = await self._lookup.checked_filter(wanted or TaskFilter())
        after = page.decode_moment(page_token, wanted, is_uuid=True)
        async with self._pool.acquire() as db:
            records = await self._store.tasks(db, wanted, after=after, limit=size + 1)
        token = ""
        if len(records) > size:
            last = records[size - 1]
            token = page.encode_token((last.created_at.isoformat(), last.task_id), wanted)
        return Page(items=tuple(to_task(record) for record in records[:size]), next_token=token)

    async def cancel_task(self, task_id: str) -> Task | Run:
        """Calls off a task or a run."""
        found = await self.get_task(task_id)
        if isinstance(found, Run):
            return await self._control.cancel_run(found.run_id)
        await self._control.cancel_task(found.task_id)
        return await self.get_task(found.task_id)

    async def rerun_task(self, task_id: str) -> Task | Run:
        """Tries a failed task again, or what failed in a run."""
        found = await self.get_task(task_id)
        if isinstance(found, Run):
            return await self._control.rerun_run(found.run_id)
        async with self._pool.acquire() as db:
            record = await self._lookup.task(db, found.task_id)
        await self._rules.registry_access(record.image.instance_id)  # refuses personal editions
        await self._control.rerun_task(record)
        return await self.get_task(found.task_id)

    # waiting, and verdicts

    async def wait_for_end(self, image: ImageQuery, seconds: float) -> Task:
        """Waits for the newest task on what the tag is now, or for one task."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + seconds
        subject = await self._subject(image, seconds)
        task = await self._waiting.until_ended(subject, give_up - loop.time())
        if task is None:
            raise not_found(
                "IMAGE_NOT_SCANNED",
                f"Nobody has begun to scan {subject.digest} in the time allowed.",
                hint="Check that a rule matches its tag, or start a task.",
            )
        return to_task(task)

    async def watch(self, image: ImageQuery) -> AsyncIterator[ImageStanding]:
        """Tells how the image stands, until its newest task has ended."""
        subject = await self._subject(image, _WATCH_SECONDS)
        async for standing in self._waiting.changes(subject):
            task = standing.task
            told = to_task(task, tuple(map(to_platform, standing.parts))) if task is not None else None
            yield ImageStanding(digest=subject.digest, task=told)

    async def evaluate_gate(self, image: ImageQuery, policy: GatePolicy, platform: str = "") -> GateAnswer:
        """Gives the verdict on what the tag is now."""
        gated = await self._gating.verdict(image, policy, platform)
        task = gated.task
        return GateAnswer(
            verdict=gated.verdict,
            digest=gated.digest,
            task_id=task.task_id if task is not None else "",
            engine=task.engine if task is not None else None,
        )

    async def _subject(self, image: ImageQuery, seconds: float) -> Subject:
        if image.task_id:
            task = await self._lookup.named(image)
            return Subject(repo_id=task.image.repo_id, digest=task.image.digest, task_id=task.task_id)
        image, digest = await self._present.pinned(image, seconds)
        return Subject(repo_id=image.repo_id, digest=digest, engine=image.engine)

    # results

    async def image_status(self, image: ImageQuery) -> Task:
        """Reads the newest task: one query when the image is known."""
        return to_task(await self._lookup.newest(image))

    async def findings(self, image: ImageQuery, wanted: FindingFilter) -> Findings:
        """Reads the reports of the last complete task and filters what they found."""
        task, parts, packed = await self._lookup.last_complete(image)
        placed = await asyncio.to_thread(lambda: merge_findings(_reports(parts, packed)))
        chosen = [one for one in placed if _wanted(one, wanted)]
        if wanted.descending:
            # Worst first, yet ties in the same order as ever.
            chosen.sort(key=lambda one: -one.finding.severity.rank)
        return Findings(task=to_task(task), findings=tuple(chosen))

    async def report(self, image: ImageQuery, platform: str = "") -> bytes:
        """Reads one platform's report; where several engines scanned it, what they say together."""
        task, parts, packed = await self._lookup.last_complete(image)
        fitting = [part for part in parts if platform in ("", part.platform)]
        names = ", ".join(dict.fromkeys(part.platform for part in parts))
        if not fitting:
            raise not_found(
                "PLATFORM_NOT_EXIST", f"The image is not there for {platform}.", hint=f"It has: {names}."
            )
        if len({part.platform for part in fitting}) > 1:
            raise invalid(
                "PLATFORM_AMBIGUOUS",
                "The image has several platforms.",
                field="platform",
                hint=f"Name one: {names}.",
            )
        # The report is shared by all who have the content; whoever asks sees it under their own name.
        return await asyncio.to_thread(_addressed, fitting, packed, _name_of(task.image))

    async def compare(self, task_id: str) -> Comparison:
        """Holds a task's findings against the scan before it."""
        async with self._pool.acquire() as db:
            task = await self._lookup.task(db, task_id)
            earlier = await self._store.earlier_task(db, task)
            parts = {
                each.task_id: await self._store.parts_of(db, each.scan_id) for each in (task, earlier) if each
            }
            ids = [part.scan_id for several in parts.values() for part in several]
            packed = await self._store.reports(db, ids)
        return await asyncio.to_thread(compare_tasks, task, earlier, parts, packed)

    # the stream of findings

    async def finding_events(
        self, *, since: datetime | None = None, cursor: str = "", limit: int = 0
    ) -> tuple[tuple[bytes, ...], str]:
        """Reads on in the stream."""
        return await self._stream.events(since=since, cursor=cursor, limit=limit)

    async def open_findings(self, *, instance: str = "", page_size: int = 0, page_token: str = "") -> Page[bytes]:
        """Reads a page of what is open."""
        instance_id = await self._lookup.instance_id(instance) if instance else ""
        return await self._stream.open_findings(
            instance_id=instance_id, page_size=page_size, page_token=page_token
        )

    # tags, and what went

    async def list_tags(
        self, *, instance: str, namespace: str, repository: str, page_size: int = 0, page_token: str = ""
    ) -> Page[SeenTag]:
        """Reads a page of the tags of a repository."""
        instance_id = await self._lookup.instance_id(instance)
        name = parse_repository(f"{namespace}/{repository}" if namespace not in ("", NO_NAMESPACE) else repository)
        repo_id = repository_id(instance_id, name)
        return await self._account.tags(repo_id, page_size=page_size, page_token=page_token)

    async def list_removals(self, *, instance: str, page_size: int = 0, page_token: str = "") -> Page[Removal]:
        """Reads a page of what went of an instance."""
        instance_id = await self._lookup.instance_id(instance)
        return await self._account.removals(instance_id, page_size=page_size, page_token=page_token)


def _reports(parts: Sequence[PartRecord], packed: Mapping[str, StoredReport]) -> dict[str, Report]:
    return platform_reports(parts, {scan_id: read_report(stored) for scan_id, stored in packed.items()})


def _addressed(parts: Sequence[PartRecord], packed: Mapping[str, StoredReport], reference: str) -> bytes:
    known = {part.scan_id: packed[part.scan_id] for part in parts if part.scan_id in packed}
    [report] = _reports(parts, known).values()
    return addressed_report(report, reference)


def _wanted(placed: PlacedFinding, wanted: FindingFilter) -> bool:
    finding = placed.finding
    return (
        (not wanted.kinds or finding.kind in wanted.kinds)
        and (not wanted.severities or finding.severity in wanted.severities)
        and wanted.id_contains.lower() in finding.id.lower()
        and wanted.platform in ("", *placed.platforms)
    )


def _same_request(begun: TaskRecord, repo_id: str, image: ImageQuery) -> Task:
    """Returns the task of a request, new or repeated.

    Raises:
        ServiceError: REQUEST_ID_REUSED when the id was used for another image.
    """
    known = begun.image
    if known.repo_id != repo_id or known.tag != image.tag or (image.digest and known.digest != image.digest):
        raise ServiceError(
            Kind.ALREADY_EXISTS,
            "REQUEST_ID_REUSED",
            "The request id belongs to a task on another image.",
            hint="Make a new UUID for each request; repeat one only with the same arguments.",
            field="request_id",
        )
    return to_task(begun)


def _name_of(image: ImageAddress) -> str:
    path = RepositoryName(namespace=image.namespace, name=image.repository).path
    return f"{path}:{image.tag}@{image.digest}" if image.tag else f"{path}@{image.digest}"


def _digest_alone(image: ImageQuery) -> Digest:
    """Returns the digest that a caller names who brings an access of their own.

    Raises:
        ServiceError: INVALID_IMAGE; a tag would be believed without the registry having been asked for it.
    """
    if image.digest is None or image.tag:
        raise invalid("INVALID_IMAGE", "With an access of its own an image has a digest alone.", field="digest")
    return image.digest
