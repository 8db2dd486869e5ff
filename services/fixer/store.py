"""All SQL of the fixer: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from services.fixer.api import FixFilter, FixState, Stage
from services.fixer.order import FixResult, Pushed
from services.fixer.records import FixRecord, Lease, NewFix, Tally
from services.kernel.db import Connection
from services.kernel.model.digest import Digest
from services.kernel.model.reference import parse_repository
from services.kernel.sql import load_queries

_Q = load_queries("services.fixer")


class FixerStore:
    """Reads and writes the schema `fixer`."""

    # tasks

    async def insert_task(self, conn: Connection, new: NewFix) -> FixRecord | None:
        """Saves a task; None when its tag has an open one, or its id is taken."""
        order = new.order
        row = await conn.fetchrow(
            _Q["insert_task"],
            order.task_id,
            order.instance_id,
            new.repo_id,
            order.repository.namespace,
            order.repository.name,
            order.tag,
            order.digest,
            order.findings,
            order.overwrite,
            new.target_ids,
            new.rule_ids,
            new.rule_target_ids,
            new.created_by,
            new.traceparent,
            new.created_at,
        )
        return _to_record(row) if row else None

    async def count_open(self, conn: Connection, instance_id: str) -> int:
        """Counts the open tasks of an instance; nobody else adds one until the transaction ends."""
        count: int = await conn.fetchval(_Q["count_open"], instance_id)
        return count

    async def task(self, conn: Connection, task_id: str) -> FixRecord | None:
        """Returns a task."""
        return _maybe(await conn.fetchrow(_Q["task"], task_id))

    async def open_task(self, conn: Connection, repo_id: str, tag: str) -> FixRecord | None:
        """Returns the open task of a tag."""
        return _maybe(await conn.fetchrow(_Q["open_task"], repo_id, tag))

    async def lock_task(self, conn: Connection, task_id: str) -> FixRecord | None:
        """Returns a task and holds it to the end of the transaction."""
        return _maybe(await conn.fetchrow(_Q["lock_task"], task_id))

    async def list_tasks(
        self, conn: Connection, wanted: FixFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[FixRecord]:
        """Lists tasks, newest first, without their results; `wanted` names its instance by id."""
        name = parse_repository(wanted.repository) if wanted.repository else None
        moment, task_id = after or (None, None)
        rows = await conn.fetch(
            _Q["list_tasks"],
            wanted.instance,
            name.namespace if name else "",
            name.name if name else "",
            wanted.tag,
            wanted.state.value if wanted.state else "",
            wanted.namespaces,
            moment,
            task_id,
            limit,
        )
        return tuple(map(_to_record, rows))

    # work

    async def claim(
        self, conn: Connection, *, owner: str, lease_seconds: float, per_instance: int
    ) -> tuple[Lease, FixRecord] | None:
        """Leases a task that is due, within a transaction of its own; None when there is none."""
        await conn.execute(_Q["lock_claims"])
        row = await conn.fetchrow(_Q["claim"], owner, lease_seconds, per_instance)
        if row is None:
            return None
        record = _to_record(row)
        return Lease(task_id=record.task_id, fence=row["fence"], attempts=record.attempts), record

    async def heartbeat(self, conn: Connection, lease: Lease, seconds: float) -> bool | None:
        """Keeps a lease, and tells whether the task is called off; None when the lease was lost."""
        asked: bool | None = await conn.fetchval(_Q["heartbeat"], lease.task_id, lease.fence, seconds)
        return asked

    async def note_stage(
        self, conn: Connection, lease: Lease, stage: Stage, message: str, *, done: int, total: int
    ) -> bool | None:
        """Notes how far a fix is, unless it is called off; tells whether it is. None when the lease was lost."""
        asked: bool | None = await conn.fetchval(
            _Q["note_stage"], lease.task_id, lease.fence, stage.value, message, done, total
        )
        return asked

    async def note_push(self, conn: Connection, lease: Lease, pushed: Pushed) -> bool | None:
        """Notes what is about to be written, unless the fix is called off; answers as `note_stage`."""
        asked: bool | None = await conn.fetchval(
            _Q["note_push"],
            lease.task_id,
            lease.fence,
            pushed.tag,
            pushed.digest,
            pushed.previous,
            pushed.backup_tag,
        )
        return asked

    async def lock_leased(self, conn: Connection, lease: Lease) -> FixRecord | None:
        """Returns a task and holds it to the end of the transaction; None when the lease was lost."""
        return _maybe(await conn.fetchrow(_Q["lock_leased"], lease.task_id, lease.fence))

    async def end_task(
        self,
        conn: Connection,
        task_id: str,
        state: FixState,
        at: datetime,
        *,
        reason: str = "",
        message: str = "",
        hint: str = "",
        result: FixResult | None = None,
        tally: Tally | None = None,
    ) -> FixRecord:
        """Ends a fix; what the result says of the written tag goes before what was about to be written."""
        tally = tally or Tally()
        row = await conn.fetchrow(
            _Q["end_task"],
            task_id,
            state.value,
            reason,
            message,
            hint,
            msgspec.json.encode(result) if result is not None else None,
            result.scan_task_id if result is not None else "",
            msgspec.json.encode(dict(result.attached) if result is not None else {}).decode(),
            tally.fixed,
            tally.still_present,
            tally.not_fixable,
            tally.new_findings,
            at,
            result.tag if result is not None else None,
            result.digest if result is not None else None,
            result.backup_tag if result is not None else None,
        )
        return _surely(row)

    async def postpone(
        self,
        conn: Connection,
        lease: Lease,
        seconds: float,
        *,
        reason: str,
        message: str,
        hint: str,
        counted: bool = True,
    ) -> bool:
        """Gives the lease back until later; False when it was lost. An attempt that does not count is none."""
        row = await conn.fetchval(
            _Q["postpone"], lease.task_id, lease.fence, seconds, reason, message, hint, 0 if counted else 1
        )
        return row is not None

    async def release(self, conn: Connection, lease: Lease) -> None:
        """Gives an unfinished lease back at once, as if it had not been taken."""
        await conn.execute(_Q["release"], lease.task_id, lease.fence)

    async def ask_cancel(self, conn: Connection, task_id: str) -> FixRecord:
        """Calls off what a worker is at."""
        return _surely(await conn.fetchrow(_Q["ask_cancel"], task_id))

    async def begin_revert(self, conn: Connection, task_id: str) -> FixRecord:
        """Has what the written tag held before put back. Raises asyncpg.UniqueViolationError for an open task."""
        return _surely(await conn.fetchrow(_Q["begin_revert"], task_id))

    async def end_revert(
        self, conn: Connection, task_id: str, at: datetime, *, reason: str = "", message: str = ""
    ) -> FixRecord:
        """Ends the putting back; with a reason, it did not happen."""
        return _surely(await conn.fetchrow(_Q["end_revert"], task_id, reason, message, at))

    async def announce_work(self, conn: Connection) -> None:
        """Wakes idle workers."""
        await conn.execute(_Q["announce_work"])

    async def announce_cancel(self, conn: Connection) -> None:
        """Wakes the worker that is at a task that was called off."""
        await conn.execute(_Q["announce_cancel"])


def _maybe(row: asyncpg.Record | None) -> FixRecord | None:
    return _to_record(row) if row is not None else None


def _surely(row: asyncpg.Record | None) -> FixRecord:
    assert row is not None, "the row is held by this transaction"  # noqa: S101 - for the type checker
    return _to_record(row)


def _to_record(row: asyncpg.Record) -> FixRecord:
    same: dict[str, Any] = {name: row[name] for name in _SAME}
    return FixRecord(
        **same,
        task_id=str(row["task_id"]),
        digest=Digest(row["digest"]),
        findings=tuple(row["findings"]),
        target_ids=tuple(row["target_ids"]),
        rule_ids=tuple(row["rule_ids"]),
        rule_target_ids=tuple(row["rule_target_ids"]),
        state=FixState(row["state"]),
        outcome=FixState(row["outcome"]) if row["outcome"] is not None else None,
        stage=Stage(row["stage"]) if row["stage"] is not None else None,
        pushed=_to_pushed(row),
        result=msgspec.json.decode(row["result"], type=FixResult) if row["result"] is not None else None,
        attached=msgspec.json.decode(row["attached"], type=dict[str, str]),
        tally=Tally(
            fixed=row["fixed"],
            still_present=row["still_present"],
            not_fixable=row["not_fixable"],
            new_findings=row["new_findings"],
        ),
    )


def _to_pushed(row: asyncpg.Record) -> Pushed | None:
    if row["pushed_tag"] is None:
        return None
    return Pushed(
        tag=row["pushed_tag"],
        digest=Digest(row["pushed_digest"]),
        previous=row["pushed_previous"],
        backup_tag=row["pushed_backup"],
    )


_SAME = (
    "instance_id",
    "repo_id",
    "namespace",
    "repository",
    "tag",
    "overwrite",
    "created_by",
    "traceparent",
    "progress_message",
    "progress_done",
    "progress_total",
    "reason",
    "message",
    "hint",
    "scan_task_id",
    "revert_reason",
    "revert_message",
    "attempts",
    "cancel_asked",
    "created_at",
    "started_at",
    "ended_at",
    "reverted_at",
)
"""Columns that a record has as they are."""
