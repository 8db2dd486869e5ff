"""Turns rows of the scanner's tables into records."""

from __future__ import annotations

import asyncpg
import msgspec

from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.report import AdvisoriesInfo, Coverage
from services.kernel.model.severity import Severity
from services.scanner.api import State
from services.scanner.records import (
    DoubtedTag,
    ImageAddress,
    LaterVerdict,
    Outcome,
    PartRecord,
    ScanKey,
    ScanRecord,
    StoredReport,
    TaskRecord,
)


def to_task(row: asyncpg.Record) -> TaskRecord:
    """Reads a row of `scanner.task`."""
    return TaskRecord(
        task_id=str(row["task_id"]),
        image=to_address(row),
        engine=Engine(row["engine"]),
        scan_id=str(row["scan_id"]),
        outcome=to_outcome(row),
        rule_ids=tuple(row["rule_ids"]),
        target_ids=tuple(row["target_ids"]),
        created_at=row["created_at"],
        ended_at=row["ended_at"],
        traceparent=row["traceparent"],
        run_id=str(row["run_id"] or ""),
    )


def to_doubted_tag(row: asyncpg.Record) -> DoubtedTag:
    """Reads a row of `scanner.tag`."""
    return DoubtedTag(image=to_address(row), revision=row["revision"], doubted_at=row["doubted_at"])


def to_address(row: asyncpg.Record) -> ImageAddress:
    """Reads the columns that tasks and tags share."""
    return ImageAddress(
        instance_id=row["instance_id"],
        repo_id=row["repo_id"],
        namespace=row["namespace"],
        repository=row["repository"],
        tag=row["tag"],
        digest=Digest(row["digest"]),
    )


def to_scan(row: asyncpg.Record) -> ScanRecord:
    """Reads a row of `scanner.scan`."""
    return ScanRecord(
        scan_id=str(row["scan_id"]),
        key=ScanKey(
            instance_id=row["instance_id"],
            digest=Digest(row["digest"]),
            engine=Engine(row["engine"]),
            engine_version=row["engine_version"],
            advisories_version=row["advisories_version"],
        ),
        namespace=row["namespace"],
        repository=row["repository"],
        platform=row["platform"],
        begun=row["begun"],
        lender=str(row["lender"] or ""),
        loan=b"",
        outcome=to_outcome(row),
    )


def to_part(row: asyncpg.Record) -> PartRecord:
    """Reads a row of the query `parts_of`."""
    return PartRecord(
        scan_id=str(row["scan_id"]),
        engine=Engine(row["engine"]),
        platform=row["platform"],
        digest=Digest(row["digest"]),
        outcome=to_outcome(row),
    )


def to_report(row: asyncpg.Record) -> StoredReport:
    """Reads a row of the query `reports`."""
    later = None
    if row["judged_at"] is not None:
        advisories = AdvisoriesInfo(
            version=row["advisories_version"],
            built_at=row["built_at"],
            sample=row["sample"],
            facts_at=row["facts_at"],
        )
        later = LaterVerdict(content=row["later"], advisories=advisories, judged_at=row["judged_at"])
    return StoredReport(
        content=row["content"],
        later=later,
        stale=row["stale"],
        newest=row["newest"] or "",
        newest_at=row["newest_at"],
    )


def to_outcome(row: asyncpg.Record) -> Outcome:
    """Reads the columns that tasks and scans share."""
    counts = msgspec.json.decode(row["findings"], type=dict[str, int])
    return Outcome(
        state=State(row["state"]),
        reason=row["reason"],
        message=row["message"],
        coverage=Coverage(row["coverage"]) if row["coverage"] else None,
        findings={Severity(word): count for word, count in counts.items()},
        advisories_version=row["advisories_version"],
    )
