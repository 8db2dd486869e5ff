"""Asking: step by step from a rule to scan requests, each step one transaction behind the lease.

The registry is read before a transaction, never inside one. What a step has learnt is written with the requests
that follow from it and with how far it came: a step that is repeated finds its rows there, and asks for nothing
twice.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeVar

from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.edition import edition_not_supported
from services.kernel.model.reference import parse_repository
from services.kernel.outbox import Outbox
from services.kernel.reasons import Reason, ScanFailure
from services.registry.catalog import RegistryCatalog
from services.registry.limits import ImageLimits
from services.registry.pages import NamePage
from services.registry.source import RegistrySource
from services.rules import repositories
from services.rules.api import Edition, RunState
from services.rules.convert_events import to_message
from services.rules.events import ScanRequest
from services.rules.runs.reach import left_out, matching, reached
from services.rules.runs.records import Ended, LeasedRun, Progress, Resolved, WaitingRepository, WaitingTag
from services.rules.runs.store import RunStore
from services.rules.store import RulesStore

Item = TypeVar("Item")
T = TypeVar("T")
AWAY: Final = frozenset(
    {Reason.REGISTRY_UNREACHABLE, Reason.REGISTRY_TIMEOUT, Reason.REGISTRY_RATE_LIMITED, Reason.TRANSFER_CUT_OFF}
)
"""Reasons that tell of the registry as a whole: the run is put off. All others are noted, and the run goes on."""
_FIRST_TAGS, _GROWTH, _TAGS = 8, 5, 200
"""Tags that a step asks for: few at first, so that the first scans begin soon, then more from step to step."""


class RunLost(Exception):
    """Somebody else has the run now, or it was called off: what was done here does not count."""


class Asking:
    """Does the work of one leased run after the other; holds nothing between runs."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RunStore,
        rules: RulesStore,
        outbox: Outbox,
        clock: Clock,
        limits: ImageLimits,
        lease_seconds: float,
        at_once: int,
        max_images: int,
    ) -> None:
        """Takes what it works with.

        Args:
            pool: of the database.
            store: of runs.
            rules: of instances and repositories.
            outbox: takes the requests.
            clock: dates them.
            limits: how many pages a list may have.
            lease_seconds: how long a step's transaction prolongs the lease.
            at_once: questions that a registry is asked at the same time.
            max_images: tags that one run may match.
        """
        self._pool = pool
        self._store = store
        self._rules = rules
        self._outbox = outbox
        self._clock = clock
        self._limits = limits
        self._lease_seconds = lease_seconds
        self._at_once = at_once
        self._max_images = max_images

    async def work(self, run: LeasedRun, catalog: RegistryCatalog) -> None:
        """Asks until nothing is left.

        Raises:
            RunLost: nothing more was written.
            ScanFailure: the registry cannot be asked on.
            ServiceError: the instance may not be scanned any more.
        """
        batch = _FIRST_TAGS
        while True:
            async with self._holding(run) as (conn, progress):
                tags = await self._store.waiting_tags(conn, run.run_id, batch)
                waiting = await self._store.waiting_repositories(conn, run.run_id, self._at_once)
                if not tags and not waiting and progress.read:
                    ended = Ended(state=RunState.ASKED)
                    await self._store.finish(conn, run.run_id, ended, self._clock.now())
                    return
            if tags:
                await self._resolve(run, catalog, tags)
                batch = min(batch * _GROWTH, _TAGS)
            elif waiting:
                await self._list(run, catalog, waiting)
            else:
                await self._turn_page(run, catalog, progress)

    async def _turn_page(self, run: LeasedRun, catalog: RegistryCatalog, progress: Progress) -> None:
        if progress.pages >= self._limits.pages:
            raise _endless("catalogue")
        page = await catalog.repositories(progress.cursor)
        async with self._holding(run) as (conn, _):
            await self._store.add_repositories(conn, run.run_id, reached(run.reach, page.names))
            if page.malformed:
                await self._store.note_list(conn, run.run_id, left_out("", page.malformed))
            await self._store.turn_page(conn, run.run_id, page.next_cursor)
            await self._store.advance(conn, run.run_id)

    async def _list(self, run: LeasedRun, catalog: RegistryCatalog, waiting: Sequence[WaitingRepository]) -> None:
        async def read(one: WaitingRepository) -> tuple[NamePage, tuple[str, ...]]:
            if one.pages >= self._limits.pages:
                raise _endless(f"list of tags of {one.path}")
            page = await _source(catalog, one.path).tags(one.cursor)
            return page, await matching(run.reach, page.names)

        answers = await self._all(read, waiting)
        async with self._holding(run) as (conn, _):
            for one, answer in zip(waiting, answers, strict=True):
                if isinstance(answer, ScanFailure):
                    if answer.why not in AWAY:
                        await self._store.fail_repository(
                            conn, run.run_id, one.path, answer.reason, answer.sentence()
                        )
                    continue
                page, found = answer
                if page.malformed:
                    await self._store.note_list(conn, run.run_id, left_out(one.path, page.malformed))
                await self._store.add_tags(
                    conn, run.run_id, one.path, found, listed=len(page.names), cursor=page.next_cursor
                )
            if await self._store.count_tags(conn, run.run_id) > self._max_images:
                raise _too_large(self._max_images)
            await self._settle(conn, run, answers)
        _raise_away(answers)

    async def _resolve(self, run: LeasedRun, catalog: RegistryCatalog, tags: Sequence[WaitingTag]) -> None:
        asked_at = self._clock.now()
        sources = {path: _source(catalog, path) for path in {tag.path for tag in tags}}

        async def head(tag: WaitingTag) -> Resolved:
            found = await sources[tag.path].head(tag.tag)
            return Resolved(path=tag.path, tag=tag.tag, digest=found.digest)

        answers = await self._all(head, tags)
        async with self._holding(run) as (conn, _):
            await self._request(conn, run, [one for one in answers if isinstance(one, Resolved)], asked_at)
            for tag, answer in zip(tags, answers, strict=True):
                if isinstance(answer, ScanFailure) and answer.why not in AWAY:
                    await self._store.fail_tag(conn, run.run_id, tag, answer.reason, answer.sentence())
            await self._settle(conn, run, answers)
        _raise_away(answers)

    async def _request(
        self, conn: Connection, run: LeasedRun, found: Sequence[Resolved], asked_at: datetime
    ) -> None:
        instance = (await self._rules.scan_settings(conn, {run.instance_id}))[run.instance_id]
        if instance.edition is Edition.PERSONAL:
            raise edition_not_supported(run.instance_id)
        fresh = await self._store.take_tags(conn, run.run_id, [(one.path, one.tag) for one in found])
        keys = {path: (run.instance_id, parse_repository(path)) for path, _ in fresh}
        known = await repositories.see(conn, self._rules, keys.values(), self._clock.now())
        requests = [
            ScanRequest(
                task_id=task_id_of(run.run_id, one.path, one.tag),
                instance_id=run.instance_id,
                repo_id=known[keys[one.path]].repo_id,
                repository=keys[one.path][1],
                tag=one.tag,
                digest=one.digest,
                revision=0,
                engine=instance.engine,
                rule_ids=(run.rule_id,),
                target_ids=run.target_ids,
                requested_at=self._clock.now(),
                bulk=True,
                run_id=run.run_id,
                asked_at=asked_at,
                traceparent=run.traceparent,
            )
            for one in found
            if (one.path, one.tag) in fresh
        ]
        await self._outbox.add(conn, [to_message(request) for request in requests])

    async def _settle(self, conn: Connection, run: LeasedRun, answers: Sequence[object]) -> None:
        """Forgets failures before this step when it got anywhere."""
        if not all(isinstance(answer, ScanFailure) and answer.why in AWAY for answer in answers):
            await self._store.advance(conn, run.run_id)

    async def _all(self, ask: Callable[[Item], Awaitable[T]], items: Sequence[Item]) -> list[T | ScanFailure]:
        """Asks for all of them, so many at once; failures come back in the place of answers."""
        turn = asyncio.Semaphore(self._at_once)

        async def take_turn(item: Item) -> T | ScanFailure:
            async with turn:
                try:
                    return await ask(item)
                except ScanFailure as failure:
                    return failure

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(take_turn(item), name="run question") for item in items]
        return [task.result() for task in tasks]

    @asynccontextmanager
    async def _holding(self, run: LeasedRun) -> AsyncIterator[tuple[Connection, Progress]]:
        """A transaction that only the holder of the lease can open; run and instance stand still meanwhile."""
        async with self._pool.acquire() as conn, conn.transaction():
            progress = await self._store.hold(conn, run, self._lease_seconds)
            if progress is None:
                raise RunLost(run.run_id)
            yield conn, progress


def task_id_of(run_id: str, path: str, tag: str) -> str:
    """Returns the id of the task of one tag in a run: the same however often it is asked for."""
    return str(uuid.uuid5(uuid.UUID(run_id), f"{path}:{tag}"))


def _source(catalog: RegistryCatalog, path: str) -> RegistrySource:
    return catalog.repository(parse_repository(path))


def _raise_away(answers: Sequence[object]) -> None:
    for answer in answers:
        if isinstance(answer, ScanFailure) and answer.why in AWAY:
            raise answer


def _endless(what: str) -> ScanFailure:
    return ScanFailure(
        Reason.REGISTRY_ERROR, f"The registry's {what} has no end.", hint="The registry, or a proxy, is broken."
    )


def _too_large(limit: int) -> ServiceError:
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "RUN_TOO_LARGE",
        f"More than {limit:,} tags match.",
        hint="Narrow the rule, or raise DRYDOCK_RULES_MAX_RUN_IMAGES.",
    )
