"""Telling: every change of a task becomes an event, in the transaction of the change.

What is complete is marked for the stream of findings, too.
"""

from __future__ import annotations

from collections.abc import Sequence

from services.kernel.clock import Clock
from services.kernel.db import Connection
from services.kernel.ids import Ids
from services.kernel.outbox import Outbox
from services.scanner.convert_events import to_scan_event
from services.scanner.marks import mark_scanned
from services.scanner.records import Difference, TaskRecord
from services.scanner.state import State


class TaskTeller:
    """Writes `drydock.scan.events.v1` to the scanner's outbox."""

    def __init__(self, outbox: Outbox, clock: Clock, ids: Ids) -> None:
        self._outbox = outbox
        self._clock = clock
        self._ids = ids

    async def tell(self, db: Connection, tasks: Sequence[TaskRecord]) -> None:
        """Adds one event for each task, which says how it stands now."""
        now = self._clock.now()
        await self._outbox.add(db, [to_scan_event(task, self._ids.uuid(), now) for task in tasks])
        await mark_scanned(db, [task for task in tasks if task.outcome.state is State.COMPLETE])

    async def tell_differences(self, db: Connection, tasks: Sequence[tuple[TaskRecord, Difference]]) -> None:
        """Adds one event for each task whose image newer advisories say something else of."""
        now = self._clock.now()
        events = [to_scan_event(task, self._ids.uuid(), now, difference) for task, difference in tasks]
        await self._outbox.add(db, events)
