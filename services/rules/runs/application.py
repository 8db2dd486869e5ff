"""Runs of rules, as they are asked for: each method writes rows, and the runner does the work."""

from __future__ import annotations

import uuid

import asyncpg
import structlog

from services.kernel import trace
from services.kernel.clock import Clock
from services.kernel.db import Connection, Pool
from services.kernel.ids import Ids, checked_request_id
from services.kernel.model.access import RegistryAccess
from services.registry.limits import SourceSettings
from services.rules import refusals
from services.rules.api import RulePreview, RuleRun, ScanRule
from services.rules.runs.preview import Preview
from services.rules.runs.reach import named_repositories
from services.rules.runs.store import RunStore

log = structlog.get_logger()


class Runs:
    """What `RunsApi` promises, of rules and instances that the caller has looked up."""

    def __init__(
        self,
        *,
        pool: Pool,
        store: RunStore,
        clock: Clock,
        ids: Ids,
        source: SourceSettings,
        preview_seconds: float,
        repositories_at_once: int,
    ) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._ids = ids
        self._source = source
        self._preview_seconds = preview_seconds
        self._at_once = repositories_at_once

    async def preview(self, rule: ScanRule, access: RegistryAccess) -> RulePreview:
        """Reads the registry, for a bounded time."""
        return await Preview(rule, self._source, at_once=self._at_once).take(access, self._preview_seconds)

    async def start(self, rule: ScanRule, request_id: str = "") -> RuleRun:
        """Starts a person's run, or returns the one that the request started before."""
        run_id = checked_request_id(request_id) if request_id else self._ids.uuid()
        async with self._pool.acquire() as conn:
            if request_id and (known := await self._store.get_run(conn, run_id)):
                return _same_request(known, rule)
            async with conn.transaction():
                begun = await self.begin(conn, rule, run_id=run_id, scheduled=False)
            run = await self._store.get_run(conn, run_id)
            if begun and run:
                return run
            if run:  # the same request, by another way
                return _same_request(run, rule)
            raise refusals.run_under_way(rule, await self._store.open_run(conn, rule.rule_id))

    async def begin(self, conn: Connection, rule: ScanRule, *, run_id: str, scheduled: bool) -> bool:
        """Saves a run with what the rule names itself; False when another one has not ended."""
        begun = await self._store.insert_run(
            conn,
            rule,
            run_id=run_id,
            scheduled=scheduled,
            traceparent=trace.current(),
            at=self._clock.now(),
        )
        if begun:
            await self._store.add_repositories(conn, run_id, named_repositories(rule))
            await self._store.note_run(conn, rule.rule_id, run_id)
            await self._store.announce_runs(conn)
            log.info("run.started", run_id=run_id, rule_id=rule.rule_id, scheduled=scheduled)
        return begun

    async def get(self, run_id: str) -> RuleRun:
        """Returns one run."""
        async with self._pool.acquire() as conn:
            return await self._find(conn, run_id)

    async def cancel(self, run_id: str) -> RuleRun:
        """Asks for no more images."""
        async with self._pool.acquire() as conn:
            run = await self._find(conn, run_id)
            await self._store.cancel_run(conn, run.run_id, self._clock.now())
            log.info("run.cancelled", run_id=run.run_id)
            return await self._find(conn, run.run_id)

    async def resume(self, run_id: str) -> RuleRun:
        """Goes on where a run stopped, with what failed in it."""
        async with self._pool.acquire() as conn:
            run = await self._find(conn, run_id)
            try:
                async with conn.transaction():
                    if await self._store.resume_run(conn, run.run_id):
                        await self._store.announce_runs(conn)
            except asyncpg.UniqueViolationError as error:
                raise refusals.other_run_under_way(await self._store.open_run(conn, run.rule_id)) from error
            log.info("run.resumed", run_id=run.run_id)
            return await self._find(conn, run.run_id)

    async def end(self, run_id: str) -> None:
        """Notes that every image has ended."""
        async with self._pool.acquire() as conn:
            run = await self._find(conn, run_id)
            await self._store.end_run(conn, run.run_id, self._clock.now())

    async def _find(self, conn: Connection, run_id: str) -> RuleRun:
        try:
            found = await self._store.get_run(conn, str(uuid.UUID(run_id)))
        except ValueError:
            found = None
        if found is None:
            raise refusals.no_run(run_id)
        return found


def _same_request(run: RuleRun, rule: ScanRule) -> RuleRun:
    if run.rule_id != rule.rule_id:
        raise refusals.request_id_reused()
    return run
