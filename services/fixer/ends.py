"""Ends of fixes: the row and the event that tells of it, in the caller's transaction."""

from __future__ import annotations

import dataclasses

from services.fixer.api import FixReason, FixState
from services.fixer.convert_events import to_fix_event
from services.fixer.order import FixResult
from services.fixer.records import FixRecord
from services.fixer.store import FixerStore
from services.fixer.told import kept, sentence_of, tally_of
from services.kernel.clock import Clock
from services.kernel.db import Connection
from services.kernel.errors import ServiceError
from services.kernel.ids import Ids
from services.kernel.outbox import Outbox

_MAY_BE_WRITTEN = "The tag {tag} may hold the fixed image: look, and put it back with `drydock fix revert`."


class Ends:
    """Writes how fixes end. Every end has a reason and a sentence, except that of a fix that is whole."""

    def __init__(self, store: FixerStore, outbox: Outbox, clock: Clock, ids: Ids) -> None:
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._ids = ids

    async def succeed(self, conn: Connection, task: FixRecord, result: FixResult) -> FixRecord:
        """Ends a fix as SUCCEEDED or PARTIAL; the task's row is held by the transaction."""
        tally = tally_of(result)
        ended = await self._store.end_task(
            conn,
            task.task_id,
            FixState.SUCCEEDED if result.whole else FixState.PARTIAL,
            self._clock.now(),
            message=sentence_of(result, tally),
            result=kept(result),
            tally=tally,
        )
        return await self._tell(conn, ended)

    async def fail(self, conn: Connection, task: FixRecord, failure: ServiceError) -> FixRecord:
        """Ends a fix as FAILED; the task's row is held by the transaction."""
        hint = failure.hint
        if task.pushed is not None and failure.reason != FixReason.RESCAN_FAILED.code:
            hint = f"{hint} {_MAY_BE_WRITTEN.format(tag=task.pushed.tag)}".strip()
        ended = await self._store.end_task(
            conn,
            task.task_id,
            FixState.FAILED,
            self._clock.now(),
            reason=failure.reason,
            message=failure.message,
            hint=hint,
        )
        return await self._tell(conn, ended)

    async def _tell(self, conn: Connection, ended: FixRecord) -> FixRecord:
        event = to_fix_event(ended, self._ids.uuid(), ended.ended_at or self._clock.now())
        await self._outbox.add(conn, [event])
        return ended


def result_to_revert(task: FixRecord) -> FixResult | None:
    """Returns what a task wrote, as far as it is known; None where it wrote nothing."""
    if task.pushed is None:
        return None
    known = task.result or FixResult(
        platforms=(),
        tag=task.pushed.tag,
        digest=task.pushed.digest,
        previous=task.pushed.previous,
        backup_tag=task.pushed.backup_tag,
        scan_task_id="",
        new_findings=0,
        attached={},
    )
    return dataclasses.replace(known, previous=task.pushed.previous, backup_tag=task.pushed.backup_tag)
