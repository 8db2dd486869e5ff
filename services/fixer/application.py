"""The fixer in process: orders taken, tasks read, called off and reverted."""

from __future__ import annotations

import asyncio
import dataclasses

import asyncpg
import structlog

from services.fixer import refusals
from services.fixer.api import FixFilter, FixPreview, FixRequest, FixState, FixTask
from services.fixer.ends import Ends, result_to_revert
from services.fixer.intake import Intake, Subject
from services.fixer.order import FixOrder, FixWork
from services.fixer.records import FixRecord, NewFix
from services.fixer.settings import FixerSettings
from services.fixer.store import FixerStore
from services.fixer.told import preview_of, task_of
from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import ServiceError, invalid
from services.kernel.ids import Ids, checked_request_id
from services.kernel.model import page
from services.kernel.model.page import Page
from services.kernel.model.reference import parse_repository, parse_tag
from services.kernel.rpc import call_context
from services.rules.api import RulesApi

log = structlog.get_logger()

_MOST_NAMESPACES = 100


class Fixer:
    """FixerApi over PostgreSQL."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: FixerStore,
        ends: Ends,
        intake: Intake,
        rules: RulesApi,
        work: FixWork,
        settings: FixerSettings,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self._pool = pool
        self._store = store
        self._ends = ends
        self._intake = intake
        self._rules = rules
        self._work = work
        self._settings = settings
        self._clock = clock
        self._ids = ids
        self._previews = asyncio.Semaphore(settings.concurrent_previews)

    async def preview_fix(self, wanted: FixRequest) -> FixPreview:
        """Tells what a fix would do."""
        subject = await self._intake.subject(wanted)
        order = await self._intake.order(wanted, subject, self._ids.uuid())
        if self._previews.locked():
            raise refusals.too_many_previews()
        deadline = asyncio.timeout(call_context.allowed_seconds(self._settings.preview_seconds))
        try:
            async with self._previews, deadline:
                plan = await self._work.preview(order)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise refusals.preview_timed_out() from error
        return preview_of(order, subject.repo_id, plan)

    async def create_fix(
        self, wanted: FixRequest, *, target_ids: tuple[str, ...] = (), request_id: str = ""
    ) -> FixTask:
        """Saves a task on what the registry has under the tag."""
        task_id = checked_request_id(request_id) if request_id else self._ids.uuid()
        subject = await self._intake.subject(wanted)
        if request_id:
            async with self._pool.acquire() as conn:
                begun = await self._store.task(conn, task_id)
            if begun is not None:
                return task_of(_same_request(begun, wanted, subject))
        if target_ids:
            await self._rules.check_targets(target_ids)
        order = await self._intake.order(wanted, subject, task_id)
        told = await self._intake.told(subject)
        new = NewFix(
            order=order,
            repo_id=subject.repo_id,
            target_ids=tuple(sorted(set(target_ids))),
            rule_ids=told.rule_ids,
            rule_target_ids=told.target_ids,
            created_by=call_context.actor(),
            traceparent=trace.current(),
            created_at=self._clock.now(),
        )
        async with self._pool.acquire() as conn, conn.transaction():
            return task_of(await self._save(conn, new, wanted, subject))

    async def _save(self, conn: Connection, new: NewFix, wanted: FixRequest, subject: Subject) -> FixRecord:
        count = await self._store.count_open(conn, subject.instance_id)
        current = await self._store.open_task(conn, subject.repo_id, subject.tag)
        if current is not None:
            if _is_same(current, new.order) and set(new.target_ids) <= set(current.target_ids):
                return current
            raise refusals.under_way(current)
        if count >= self._settings.open_per_instance:
            raise refusals.too_many_fixes(self._settings.open_per_instance)
        saved = await self._store.insert_task(conn, new)
        if saved is None:  # the same request, twice at once, or one that has ended meanwhile
            begun = await self._store.task(conn, new.order.task_id)
            if begun is None:
                raise refusals.request_id_reused()
            return _same_request(begun, wanted, subject)
        await self._store.announce_work(conn)
        log.info("fix.created", task_id=saved.task_id, instance_id=saved.instance_id, digest=saved.digest)
        return saved

    async def get_fix(self, task_id: str) -> FixTask:
        """Returns one task."""
        async with self._pool.acquire() as conn:
            found = await self._store.task(conn, refusals.as_uuid(task_id))
        if found is None:
            raise refusals.no_task(task_id)
        return task_of(found)

    async def list_fixes(
        self, wanted: FixFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[FixTask]:
        """Lists tasks, newest first."""
        size = page.page_size(page_size)
        wanted = await self._checked(wanted or FixFilter())
        after = page.decode_moment(page_token, wanted, is_uuid=True)
        async with self._pool.acquire() as conn:
            found = await self._store.list_tasks(conn, wanted, after=after, limit=size + 1)
        token = ""
        if len(found) > size:
            last = found[size - 1]
            token = page.encode_token((last.created_at.isoformat(), last.task_id), wanted)
        return Page(items=tuple(map(task_of, found[:size])), next_token=token)

    async def cancel_fix(self, task_id: str) -> FixTask:
        """Calls off a task."""
        async with self._pool.acquire() as conn, conn.transaction():
            task = await self._locked(conn, task_id)
            if task.state.ended or task.cancel_asked:
                return task_of(task)
            if task.state is FixState.REVERTING or task.past_cancel:
                raise refusals.pushing(task)
            if task.state is FixState.RUNNING:
                task = await self._store.ask_cancel(conn, task.task_id)
                await self._store.announce_cancel(conn)
            else:
                task = await self._ends.fail(conn, task, refusals.called_off())
        log.info("fix.called_off", task_id=task.task_id, state=task.state.value)
        return task_of(task)

    async def revert_fix(self, task_id: str) -> FixTask:
        """Has what the written tag held before put back."""
        try:
            async with self._pool.acquire() as conn, conn.transaction():
                return task_of(await self._revert(conn, task_id))
        except asyncpg.UniqueViolationError:
            raise await self._why_busy(task_id) from None

    async def _revert(self, conn: Connection, task_id: str) -> FixRecord:
        task = await self._locked(conn, task_id)
        if task.state in (FixState.REVERTING, FixState.REVERTED):
            return task
        if not task.state.ended:
            raise refusals.not_revertible(task, "it has not ended")
        if result_to_revert(task) is None:
            raise refusals.not_revertible(task, "it wrote no tag")
        if task.pushed is not None and not task.pushed.previous:
            raise refusals.not_revertible(task, f"{task.pushed.tag} held nothing before it, and may be deleted")
        begun = await self._store.begin_revert(conn, task.task_id)
        await self._store.announce_work(conn)
        log.info("fix.revert_asked", task_id=task.task_id)
        return begun

    async def _why_busy(self, task_id: str) -> ServiceError:
        async with self._pool.acquire() as conn:
            task = await self._locked(conn, task_id)
            return refusals.under_way(await self._store.open_task(conn, task.repo_id, task.tag) or task)

    async def _locked(self, conn: Connection, task_id: str) -> FixRecord:
        task = await self._store.lock_task(conn, refusals.as_uuid(task_id))
        if task is None:
            raise refusals.no_task(task_id)
        return task

    async def _checked(self, wanted: FixFilter) -> FixFilter:
        """Returns the filter with the instance's id."""
        if wanted.tag:
            parse_tag(wanted.tag)
        if wanted.repository:
            parse_repository(wanted.repository)
        if len(wanted.namespaces) > _MOST_NAMESPACES or any("\0" in name for name in wanted.namespaces):
            message = f"At most {_MOST_NAMESPACES} names of namespaces are taken."
            raise invalid("INVALID_NAMESPACE", message, field="namespaces")
        if not wanted.instance:
            return wanted
        instance = await self._rules.get_instance(wanted.instance)
        return dataclasses.replace(wanted, instance=instance.instance_id)


def _is_same(task: FixRecord, order: FixOrder) -> bool:
    asked = (order.digest, order.findings, order.overwrite)
    return task.state is not FixState.REVERTING and asked == (task.digest, task.findings, task.overwrite)


def _same_request(begun: FixRecord, wanted: FixRequest, subject: Subject) -> FixRecord:
    """Returns the task of a repeated request. Raises REQUEST_ID_REUSED when it was another request's."""
    same_image = (begun.repo_id, begun.tag) == (subject.repo_id, subject.tag)
    if not same_image or begun.overwrite is not wanted.overwrite or wanted.digest not in (None, begun.digest):
        raise refusals.request_id_reused()
    return begun
