"""The SQL of runs: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries
from services.rules.api import RuleRun, RunNote, RunState, ScanRule, Scope
from services.rules.runs.records import Ended, LeasedRun, Progress, Reach, WaitingRepository, WaitingTag
from services.rules.store import to_rule

_Q = load_queries("services.rules")
_LONGEST_MESSAGE = 2000
NOTES = 100
"""Of a run that are shown."""


class RunStore:
    """Reads and writes the runs of the schema `rules`."""

    # runs as people see them

    async def insert_run(
        self,
        conn: Connection,
        rule: ScanRule,
        *,
        run_id: str,
        scheduled: bool,
        traceparent: str,
        at: datetime,
    ) -> bool:
        """Saves a run; False when its id is taken, or when another run of the rule has not ended."""
        row = await conn.fetchval(
            _Q["insert_run"],
            run_id,
            rule.rule_id,
            rule.instance_id,
            rule.scope.value,
            list(rule.namespaces),
            rule.tag_pattern,
            list(rule.target_ids),
            scheduled,
            traceparent,
            rule.scope is Scope.REPO,
            at,
        )
        return row is not None

    async def note_run(self, conn: Connection, rule_id: str, run_id: str) -> None:
        """Makes a run the last one of its rule."""
        await conn.execute(_Q["note_run"], rule_id, run_id)

    async def announce_runs(self, conn: Connection) -> None:
        """Wakes idle runners at the end of the transaction."""
        await conn.execute(_Q["announce_runs"])

    async def get_run(self, conn: Connection, run_id: str) -> RuleRun | None:
        """Returns one run with its counts and some notes."""
        row = await conn.fetchrow(_Q["get_run"], run_id)
        if row is None:
            return None
        return _to_run(row, await conn.fetch(_Q["run_notes"], run_id, NOTES))

    async def open_run(self, conn: Connection, rule_id: str) -> str:
        """Returns the id of the rule's run that has not ended; empty for none."""
        return str(await conn.fetchval(_Q["open_run"], rule_id) or "")

    async def cancel_run(self, conn: Connection, run_id: str, at: datetime) -> None:
        """Calls an open run off."""
        await conn.execute(_Q["cancel_run"], run_id, at)

    async def resume_run(self, conn: Connection, run_id: str) -> bool:
        """Opens a run again with all that failed in it; False while it is asking anyway.

        Raises:
            asyncpg.UniqueViolationError: another run of the rule is open.
        """
        if await conn.fetchval(_Q["resume_run"], run_id) is None:
            return False
        await conn.execute(_Q["retry_repositories"], run_id)
        await conn.execute(_Q["retry_tags"], run_id)
        return True

    async def end_run(self, conn: Connection, run_id: str, at: datetime) -> None:
        """Ends a run that asks for nothing more."""
        await conn.execute(_Q["end_run"], run_id, at)

    # leases

    async def claim(self, conn: Connection, owner: str, lease_seconds: float) -> LeasedRun | None:
        """Leases the run that is due longest."""
        row = await conn.fetchrow(_Q["claim_run"], owner, lease_seconds)
        return _to_lease(row) if row else None

    async def hold(self, conn: Connection, run: LeasedRun, lease_seconds: float) -> Progress | None:
        """Prolongs a lease and holds row and instance until the transaction ends; None when it was lost."""
        row = await conn.fetchrow(_Q["hold_run"], run.run_id, run.fence, run.instance_id, lease_seconds)
        if row is None:
            return None
        return Progress(cursor=row["catalog_cursor"], read=row["catalog_read"], pages=row["pages"])

    async def advance(self, conn: Connection, run_id: str) -> None:
        """Forgets attempts in vain."""
        await conn.execute(_Q["advance_run"], run_id)

    async def postpone(self, conn: Connection, run: LeasedRun, seconds: float, reason: str, message: str) -> None:
        """Gives the lease back until later."""
        await conn.execute(_Q["postpone_run"], run.run_id, run.fence, seconds, reason, _storable(message))

    async def release(self, conn: Connection, run: LeasedRun) -> None:
        """Gives the lease back at once."""
        await conn.execute(_Q["release_run"], run.run_id, run.fence)

    async def finish(self, conn: Connection, run_id: str, ended: Ended, at: datetime) -> None:
        """Asks for nothing more; the caller holds the run."""
        message = _storable(ended.message)
        await conn.execute(_Q["finish_run"], run_id, ended.state.value, ended.reason, message, at)

    # the work; the caller holds the run

    async def add_repositories(self, conn: Connection, run_id: str, paths: Sequence[str]) -> None:
        """Adds repositories; known ones stay as they are."""
        await conn.execute(_Q["insert_run_repositories"], run_id, list(paths))

    async def turn_page(self, conn: Connection, run_id: str, cursor: str) -> None:
        """Moves on in the catalogue; an empty cursor is its end."""
        await conn.execute(_Q["turn_page"], run_id, cursor, not cursor)

    async def waiting_repositories(
        self, conn: Connection, run_id: str, limit: int
    ) -> tuple[WaitingRepository, ...]:
        """Returns the next repositories to read."""
        rows = await conn.fetch(_Q["waiting_repositories"], run_id, limit)
        return tuple(WaitingRepository(path=row["path"], cursor=row["cursor"], pages=row["pages"]) for row in rows)

    async def add_tags(
        self, conn: Connection, run_id: str, path: str, matching: Sequence[str], *, listed: int, cursor: str
    ) -> None:
        """Adds matching tags, known ones stay as they are, and moves on in the repository."""
        await conn.execute(_Q["insert_run_tags"], run_id, path, list(matching))
        await conn.execute(_Q["read_repository"], run_id, path, cursor, listed)

    async def count_tags(self, conn: Connection, run_id: str) -> int:
        """Counts the tags that match so far."""
        return int(await conn.fetchval(_Q["count_run_tags"], run_id))

    async def fail_repository(self, conn: Connection, run_id: str, path: str, reason: str, message: str) -> None:
        """Notes why a repository cannot be read."""
        await conn.execute(_Q["fail_repository"], run_id, path, reason, _storable(message))

    async def note_list(self, conn: Connection, run_id: str, note: RunNote) -> None:
        """Notes once what is said of a whole list: nothing failed, and nothing of it is asked for."""
        await conn.execute(_Q["note_list"], run_id, note.repository, note.reason, note.message)

    async def waiting_tags(self, conn: Connection, run_id: str, limit: int) -> tuple[WaitingTag, ...]:
        """Returns the next tags to ask for."""
        rows = await conn.fetch(_Q["waiting_tags"], run_id, limit)
        return tuple(WaitingTag(path=row["path"], tag=row["tag"]) for row in rows)

    async def take_tags(
        self, conn: Connection, run_id: str, tags: Sequence[tuple[str, str]]
    ) -> frozenset[tuple[str, str]]:
        """Marks tags, given as (path, tag), as asked for; returns those that were not."""
        rows = await conn.fetch(_Q["requested_tags"], run_id, [path for path, _ in tags], [tag for _, tag in tags])
        return frozenset((row["path"], row["tag"]) for row in rows)

    async def fail_tag(self, conn: Connection, run_id: str, tag: WaitingTag, reason: str, message: str) -> None:
        """Notes why a tag cannot be asked for."""
        await conn.execute(_Q["fail_tag"], run_id, tag.path, tag.tag, reason, _storable(message))

    # the clock

    async def due_rules(self, conn: Connection, now: datetime, limit: int) -> tuple[ScanRule, ...]:
        """Returns rules whose time has come, held with their instances until the transaction ends."""
        return tuple(to_rule(row) for row in await conn.fetch(_Q["due_rules"], now, limit))

    async def end_orphaned(
        self, conn: Connection, before: datetime, limit: int, why: str
    ) -> tuple[tuple[str, str], ...]:
        """Ends schedules of rules that have no repository left since then; returns (rule id, instance id)."""
        rows = await conn.fetch(_Q["end_orphaned"], before, limit, why)
        return tuple((row["rule_id"], row["instance_id"]) for row in rows if not row["back"])

    async def set_next_run(self, conn: Connection, rule_id: str, at: datetime | None, skipped: str) -> None:
        """Writes when a rule is run next, and why it was not run now."""
        await conn.execute(_Q["set_next_run"], rule_id, at, _storable(skipped))


def _to_run(row: asyncpg.Record, notes: Sequence[asyncpg.Record]) -> RuleRun:
    return RuleRun(
        run_id=str(row["run_id"]),
        rule_id=row["rule_id"],
        instance_id=row["instance_id"],
        state=RunState(row["state"]),
        reason=row["reason"],
        message=row["message"],
        scheduled=row["scheduled"],
        repositories=row["repositories"],
        tags=row["tags"],
        waiting=row["waiting"],
        requested=row["requested"],
        unresolved=row["unresolved"],
        vanished=row["vanished"],
        notes=tuple(
            RunNote(repository=note["path"], tag=note["tag"], reason=note["reason"], message=note["message"])
            for note in notes
        ),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
    )


def _to_lease(row: asyncpg.Record) -> LeasedRun:
    return LeasedRun(
        run_id=str(row["run_id"]),
        fence=row["fence"],
        rule_id=row["rule_id"],
        instance_id=row["instance_id"],
        reach=Reach(
            scope=Scope(row["scope"]), namespaces=tuple(row["namespaces"]), tag_pattern=row["tag_pattern"]
        ),
        target_ids=tuple(row["target_ids"]),
        traceparent=row["traceparent"],
        attempts=row["attempts"],
    )


def _storable(message: str) -> str:
    return message.replace("\0", "\N{REPLACEMENT CHARACTER}")[:_LONGEST_MESSAGE]
