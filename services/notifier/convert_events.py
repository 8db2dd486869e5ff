"""Messages of the bus to values."""

from __future__ import annotations

import uuid
from datetime import UTC

from google.protobuf.message import DecodeError

from drydock.events.v1 import scan_event_pb2
from services.kernel.errors import ServiceError, invalid
from services.notifier.events import Reevaluated, ScanEvent, State

_STATES: dict[int, State] = {
    scan_event_pb2.ScanEvent.STATE_SCANNING: State.SCANNING,
    scan_event_pb2.ScanEvent.STATE_RETRYING: State.RETRYING,
    scan_event_pb2.ScanEvent.STATE_COMPLETE: State.COMPLETE,
    scan_event_pb2.ScanEvent.STATE_FAILED: State.FAILED,
}


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


def _bad(why: str) -> ServiceError:
    return invalid("BAD_EVENT", f"A scan event cannot be read: {why}.")
