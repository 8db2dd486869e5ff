"""What the fixer writes to the bus, from our own values to protobuf."""

from __future__ import annotations

from datetime import datetime

from drydock.events.v1 import fix_event_pb2 as pb
from services.fixer.api import FixState
from services.fixer.records import FixRecord
from services.kernel import trace
from services.kernel.bus.interface import FIX_EVENTS, Message

_STATES = {
    FixState.SUCCEEDED: pb.FixEvent.STATE_SUCCEEDED,
    FixState.PARTIAL: pb.FixEvent.STATE_PARTIAL,
    FixState.FAILED: pb.FixEvent.STATE_FAILED,
}


def to_fix_event(task: FixRecord, event_id: str, at: datetime) -> Message:
    """Writes that a fix ended."""
    pushed, tally = task.pushed, task.tally
    event = pb.FixEvent(
        event_id=event_id,
        task_id=task.task_id,
        state=_STATES[task.state],
        instance_id=task.instance_id,
        repo_id=task.repo_id,
        namespace=task.namespace,
        repository=task.repository,
        tag=task.tag,
        digest=task.digest,
        fixed_tag=pushed.tag if pushed else "",
        fixed_digest=pushed.digest if pushed else "",
        backup_tag=pushed.backup_tag if pushed else "",
        reason=task.reason,
        message=task.message,
        fixed=tally.fixed,
        still_present=tally.still_present,
        not_fixable=tally.not_fixable,
        new_findings=tally.new_findings,
        scan_task_id=task.scan_task_id,
        created_by=task.created_by,
        target_ids=task.target_ids,
        rule_ids=task.rule_ids,
        rule_target_ids=task.rule_target_ids,
    )
    event.occurred_at.FromDatetime(at)
    return Message(
        topic=FIX_EVENTS,
        key=task.digest.encode(),
        value=event.SerializeToString(),
        headers=trace.headers_after(task.traceparent),
    )
