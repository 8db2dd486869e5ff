"""All SQL of re-evaluation: one method for each query; transactions belong to the callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from services.kernel.db import Connection
from services.kernel.model.engine import Engine
from services.kernel.model.severity import Severity
from services.kernel.sql import load_queries
from services.scanner.columns import message_column, outcome_columns
from services.scanner.records import Outcome
from services.scanner.reevaluate.records import (
    ClaimedInventory,
    Generation,
    PartOf,
    RejudgedTask,
    Rematched,
    ReportGroup,
    Tally,
)
from services.scanner.rows import to_task

_Q = load_queries("services.scanner")
NO_SCAN = "00000000-0000-0000-0000-000000000000"
"""Before all scans in the order of their ids."""


class ReevaluationStore:
    """Reads and writes generations, inventories and verdicts, and what they change about reports."""

    # generations

    async def enter(self, db: Connection, engine: Engine, version: str, built_at: datetime) -> None:
        """Notes that an engine's advisories are there; they count if they are the youngest. Idempotent."""
        await db.execute(_Q["enter_generation"], engine.value, version, built_at)

    async def newest(self, db: Connection, engine: Engine = Engine.SECURITY_CENTER) -> Generation | None:
        """Returns the youngest advisories of an engine; None where none were ever noted."""
        row = await db.fetchrow(_Q["newest_generation"], engine.value)
        if row is None:
            return None
        return Generation(
            number=row["generation"],
            version=row["version"],
            built_at=row["built_at"],
            ended=row["ended"],
            unmarked=row["unmarked"],
        )

    async def count(self, db: Connection, generation: int, tally: Tally) -> None:
        """Adds what was done for a generation."""
        done = (tally.inventories, tally.failed, tally.images, tally.events)
        await db.execute(_Q["count_generation"], generation, *done)

    async def marked(self, db: Connection, generation: int) -> None:
        """Notes that all reports without an inventory are marked."""
        await db.execute(_Q["marked_generation"], generation)

    async def end(self, db: Connection, generation: int) -> Mapping[str, float] | None:
        """Ends a generation if nothing is left; returns what was done for it to one of those who ask."""
        row = await db.fetchrow(_Q["end_generation"], generation)
        return dict(row) if row is not None else None

    # inventories

    async def claim(
        self, db: Connection, generation: int, limit: int, lease_seconds: float
    ) -> Sequence[ClaimedInventory]:
        """Takes inventories that lag behind, at most so many; who dies leaves them to others after the lease."""
        rows = await db.fetch(_Q["claim_inventories"], generation, limit, lease_seconds)
        return [
            ClaimedInventory(digest=row["digest"], content=row["content"], touched=row["touched"]) for row in rows
        ]

    async def give_back(self, db: Connection, digests: Sequence[str]) -> None:
        """Leaves claimed inventories to others at once."""
        await db.execute(_Q["give_back_inventories"], list(digests))

    async def lagging(self, db: Connection, generation: int) -> int:
        """Returns how many inventories lag behind."""
        return int(await db.fetchval(_Q["lagging_inventories"], generation))

    async def lock(self, db: Connection, digests: Sequence[str], generation: int) -> Sequence[str]:
        """Locks inventories until the transaction ends; returns those that are there and lag behind."""
        rows = await db.fetch(_Q["lock_inventories"], list(digests), generation)
        return [row["digest"] for row in rows]

    async def finish(self, db: Connection, inventories: Sequence[ClaimedInventory], generation: int) -> None:
        """Ends the work on locked inventories, and forgets those that no report rests on.

        One is due again if an older report came in meanwhile.
        """
        digests = [each.digest for each in inventories]
        await db.execute(_Q["drop_inventories"], digests)
        await db.execute(_Q["drop_verdicts"], digests)
        touched = [each.touched for each in inventories]
        await db.execute(_Q["finish_inventories"], digests, touched, generation)

    # reports

    async def groups(self, db: Connection, digests: Sequence[str], generation: int) -> Sequence[ReportGroup]:
        """Returns on which answers older reports on these inventories rest."""
        rows = await db.fetch(_Q["groups_of_inventories"], list(digests), generation)
        return [
            ReportGroup(
                inventory=row["inventory"], verdict=row["verdict"], stale=row["stale"], scan_id=row["scan_id"]
            )
            for row in rows
        ]

    async def put_verdict(
        self,
        db: Connection,
        answer: Rematched,
        *,
        generation: int,
        judged_at: datetime,
        with_content: bool,
    ) -> None:
        """Writes down what a generation says of an inventory, whose content is needed where no report says it."""
        by = answer.advisories
        said = (by.version, by.built_at, by.sample, by.facts_at)
        content = answer.content if with_content else None
        await db.execute(
            _Q["put_verdict"], answer.inventory, answer.verdict, content, generation, *said, judged_at
        )

    async def reports_of_group(
        self, db: Connection, group: ReportGroup, generation: int, *, after: str, limit: int
    ) -> Mapping[str, Mapping[Severity, int]]:
        """Returns some older reports of a group by scan, in order, with what was found beside packages."""
        place = (group.inventory, group.verdict, group.stale, generation, after, limit)
        rows = await db.fetch(_Q["reports_of_verdict"], *place)
        return {str(row["scan_id"]): _counts(row["beside"]) for row in rows}

    async def reports_of_inventory(
        self, db: Connection, digest: str, generation: int, *, after: str, limit: int
    ) -> Sequence[str]:
        """Returns scans of some older reports on an inventory that are not marked, in order."""
        rows = await db.fetch(_Q["reports_of_inventory"], digest, generation, after, limit)
        return [str(row["scan_id"]) for row in rows]

    async def reports_without_inventory(
        self,
        db: Connection,
        engine: Engine,
        version: str,
        *,
        older_than: datetime | None,
        after: str,
        limit: int,
    ) -> Sequence[str]:
        """Returns scans of some reports by an engine, judged by another version, that cannot be matched again.

        With `older_than`, those that were judged by advisories of before that moment.
        """
        place = (engine.value, version, after, older_than, limit)
        rows = await db.fetch(_Q["reports_without_inventory"], *place)
        return [str(row["scan_id"]) for row in rows]

    async def indexes_of(self, db: Connection, scan_ids: Sequence[str]) -> Sequence[PartOf]:
        """Returns of which indexes scans are parts, those that failed left out."""
        return [
            PartOf(scan_id=str(row["scan_id"]), index_id=str(row["index_id"]), is_open=row["is_open"])
            for row in await db.fetch(_Q["indexes_of_scans"], list(scan_ids))
        ]

    async def shown(self, db: Connection, scan_ids: Sequence[str]) -> frozenset[str]:
        """Returns those scans that some image shows; what others have is history and stays as it was."""
        rows = await db.fetch(_Q["shown_scans"], list(scan_ids))
        return frozenset(str(row["scan_id"]) for row in rows)

    async def lock_scans(self, db: Connection, scan_ids: Sequence[str]) -> None:
        """Locks scans until the transaction ends, in the order that is the same for all."""
        await db.execute(_Q["lock_scans"], list(scan_ids))

    async def move_reports(
        self, db: Connection, scan_ids: Sequence[str], group: ReportGroup, verdict: str
    ) -> Sequence[str]:
        """Makes reports of a group rest on another answer; returns those that were still in it."""
        rows = await db.fetch(_Q["move_reports"], list(scan_ids), group.verdict, group.stale, verdict)
        return [str(row["scan_id"]) for row in rows]

    async def rejudge(self, db: Connection, outcomes: Mapping[str, Outcome]) -> Sequence[RejudgedTask]:
        """Writes how scans and their complete tasks stand now; returns the tasks."""
        rows = [outcome_columns(outcome)[1:] for outcome in outcomes.values()]
        reasons, messages, coverages, findings, versions = (list(column) for column in zip(*rows, strict=True))
        columns = (list(outcomes), coverages, reasons, messages, findings, versions)
        await db.execute(_Q["rejudge_scans"], *columns)
        return [
            RejudgedTask(task=to_task(row), newest=row["newest"], superseded=row["superseded"])
            for row in await db.fetch(_Q["rejudge_tasks"], *columns)
        ]

    async def date_tasks(self, db: Connection, scan_ids: Sequence[str], version: str, engine: Engine) -> None:
        """Writes down by which advisories of an engine shown tasks of scans, and of indexes, stand as before."""
        await db.execute(_Q["date_tasks"], list(scan_ids), version, engine.value)

    async def mark(self, db: Connection, scan_ids: Sequence[str], reason: str, message: str) -> None:
        """Marks reports as not judged by the advisories that count; what was vouched for in full no longer is."""
        message = message_column(message)
        await db.execute(_Q["mark_reports"], list(scan_ids), message)
        await db.execute(_Q["mark_scans"], list(scan_ids), reason, message)
        await db.execute(_Q["mark_tasks"], list(scan_ids), reason, message)


def _counts(column: str) -> Mapping[Severity, int]:
    return {Severity(word): count for word, count in msgspec.json.decode(column, type=dict[str, int]).items()}
