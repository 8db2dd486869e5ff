"""Rows as callers see them."""

from __future__ import annotations

from services.scanner.api import PlatformScan, Task
from services.scanner.records import PartRecord, TaskRecord


def to_task(record: TaskRecord, platforms: tuple[PlatformScan, ...] = ()) -> Task:
    """Turns a row into what callers see."""
    image, outcome = record.image, record.outcome
    return Task(
        task_id=record.task_id,
        instance_id=image.instance_id,
        repo_id=image.repo_id,
        namespace=image.namespace,
        repository=image.repository,
        tag=image.tag,
        digest=image.digest,
        engine=record.engine,
        state=outcome.state,
        reason=outcome.reason,
        message=outcome.message,
        coverage=outcome.coverage,
        findings=outcome.findings,
        advisories_version=outcome.advisories_version,
        rule_ids=record.rule_ids,
        created_at=record.created_at,
        ended_at=record.ended_at,
        platforms=platforms,
        run_id=record.run_id,
    )


def to_platform(part: PartRecord) -> PlatformScan:
    """Turns one platform of a task into what callers see."""
    return PlatformScan(
        scan_id=part.scan_id,
        engine=part.engine,
        platform=part.platform,
        digest=part.digest,
        state=part.outcome.state,
        reason=part.outcome.reason,
        message=part.outcome.message,
    )
