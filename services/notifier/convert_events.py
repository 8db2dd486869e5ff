"""Messages of the bus to values."""

from __future__ import annotations

import uuid
from datetime import UTC

from google.protobuf.message import DecodeError

from drydock.events.v1 import fix_event_pb2, scan_event_pb2
from services.kernel.errors import ServiceError, invalid
from services.notifier.events import Reevaluated, ScanEvent, State
from services.notifier.fixes import FixEnd, FixEvent

_STATES: dict[int, State] = {
    scan_event_pb2.ScanEvent.STATE_SCANNING: State.SCANNING,
    scan_event_pb2.ScanEvent.STATE_RETRYING: State.RETRYING,
    scan_event_pb2.ScanEvent.STATE_COMPLETE: State.COMPLETE,
    scan_event_pb2.ScanEvent.STATE_FAILED: State.FAILED,
}

_ENDS: dict[int, FixEnd] = {
    fix_event_pb2.FixEvent.STATE_SUCCEEDED: FixEnd.SUCCEEDED,
    fix_event_pb2.FixEvent.STATE_PARTIAL: FixEnd.PARTIAL,
    fix_event_pb2.FixEvent.STATE_FAILED: FixEnd.FAILED,
}


def from_fix_event(value: bytes) -> FixEvent:
    """Reads the end of a fix.

    Raises:
        ServiceError: BAD_EVENT.
    """
    try:
        event = fix_event_pb2.FixEvent.FromString(value)
    except DecodeError as error:
        raise _bad("the bytes are no FixEvent", "fix") from error
    state = _ENDS.get(event.state)
    if state is None:
        raise _bad(f"the state {event.state} is unknown", "fix")
    try:
        event_id = str(uuid.UUID(event.event_id))
        occurred_at = event.occurred_at.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise _bad("its id is no UUID or its time is none", "fix") from error
    return FixEvent(
        event_id=event_id,
        task_id=event.task_id,
        state=state,
        instance_id=event.instance_id,
        repo_id=event.repo_id,
        namespace=event.namespace,
        repository=event.repository,
        tag=event.tag,
        digest=event.digest,
        fixed_tag=event.fixed_tag,
        fixed_digest=event.fixed_digest,
        backup_tag=event.backup_tag,
        reason=event.reason,
        message=event.message,
        fixed=event.fixed,
        still_present=event.still_present,
        not_fixable=event.not_fixable,
        new_findings=event.new_findings,
        scan_task_id=event.scan_task_id,
        created_by=event.created_by,
        target_ids=tuple(event.target_ids),
        rule_ids=tuple(event.rule_ids),
        rule_target_ids=tuple(event.rule_target_ids),
        occurred_at=occurred_at,
    )


def from_scan_event(value: bytes) -> ScanEvent:
    """Reads a scan event.

    Raises:
        ServiceError: BAD_EVENT.
    """
    try:
        event = scan_event_pb2.ScanEvent.FromString(value)
    except DecodeError as error:
        raise _bad("the bytes are no ScanEvent") from error
    state = _STATES.get(event.state)
    if state is None:
        raise _bad(f"the state {event.state} is unknown")
    try:
        event_id = str(uuid.UUID(event.event_id))
        occurred_at = event.occurred_at.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise _bad("its id is no UUID or its time is none") from error
    return ScanEvent(
        event_id=event_id,
        task_id=event.task_id,
        state=state,
        instance_id=event.instance_id,
        repo_id=event.repo_id,
        namespace=event.namespace,
        repository=event.repository,
        tag=event.tag,
        digest=event.digest,
        engine=event.engine,
        reason=event.reason,
        message=event.message,
        findings=dict(event.findings),
        coverage=event.coverage,
        advisories_version=event.advisories_version,
        rule_ids=tuple(event.rule_ids),
        target_ids=tuple(event.target_ids),
        occurred_at=occurred_at,
        reevaluated=_reevaluated(event.reevaluation) if event.HasField("reevaluation") else None,
    )


def _reevaluated(said: scan_event_pb2.Reevaluation) -> Reevaluated:
    return Reevaluated(
        previous_version=said.previous_version,
        new=dict(said.new_findings),
        malicious=said.new_malicious_samples,
        gone=dict(said.gone_findings),
        changed=said.changed_findings,
        first=said.first,
        superseded=said.superseded,
    )


def _bad(why: str, what: str = "scan") -> ServiceError:
    return invalid("BAD_EVENT", f"A {what} event cannot be read: {why}.")
