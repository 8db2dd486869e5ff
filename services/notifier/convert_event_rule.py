"""Event rules and their records, between protobuf and our own values."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.notifier.v1 import event_rule_pb2 as pb
from services.kernel.errors import invalid
from services.kernel.rpc.answers import answer_of
from services.notifier.api import SCAN_COMPLETED, EventRecord, EventRecordFilter, EventRule
from services.rules.api import Scope


def to_event_rule(rule: EventRule) -> pb.EventRule:
    """Writes a rule."""
    return pb.EventRule(
        rule_id=rule.rule_id,
        instance_id=rule.instance_id,
        name=rule.name,
        event_type=rule.event_type,
        target_id=rule.target_id,
        scope=rule.scope.value,
        namespaces=rule.namespaces,
        repo_names=rule.repo_names,
        tag_pattern=rule.tag_pattern,
        create_time=_to_time(rule.created_at),
        update_time=_to_time(rule.updated_at),
    )


def from_event_rule(said: pb.EventRule) -> EventRule:
    """Reads a rule.

    Raises:
        ServiceError: INVALID_SCOPE.
    """
    if said.scope and said.scope not in Scope.__members__:
        raise invalid("INVALID_SCOPE", f"{said.scope[:40]!r} is no scope.", field="scope")
    return EventRule(
        rule_id=said.rule_id,
        instance_id=said.instance_id,
        name=said.name,
        event_type=said.event_type or SCAN_COMPLETED,
        target_id=said.target_id,
        scope=Scope[said.scope] if said.scope else Scope.INSTANCE,
        namespaces=tuple(said.namespaces),
        repo_names=tuple(said.repo_names),
        tag_pattern=said.tag_pattern,
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        updated_at=said.update_time.ToDatetime(tzinfo=UTC),
    )


@answer_of("notifier")
def answered_event_rule(said: pb.EventRule) -> EventRule:
    """Reads a rule as the notifier has it.

    Raises:
        ServiceError: NEWER_RELEASE for a scope that this release does not know.
    """
    return from_event_rule(said)


def to_event_record(record: EventRecord) -> pb.EventRecord:
    """Writes a record."""
    return pb.EventRecord(
        record_id=record.record_id,
        rule_id=record.rule_id,
        rule_name=record.rule_name,
        instance_id=record.instance_id,
        event_type=record.event_type,
        delivery_id=record.delivery_id,
        kind=record.kind,
        namespace=record.namespace,
        repository=record.repository,
        tag=record.tag,
        create_time=_to_time(record.created_at),
        update_time=_to_time(record.updated_at),
    )


def from_event_record(said: pb.EventRecord) -> EventRecord:
    """Reads a record."""
    return EventRecord(
        record_id=said.record_id,
        rule_id=said.rule_id,
        rule_name=said.rule_name,
        instance_id=said.instance_id,
        event_type=said.event_type,
        delivery_id=said.delivery_id,
        kind=said.kind,
        namespace=said.namespace,
        repository=said.repository,
        tag=said.tag,
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        updated_at=said.update_time.ToDatetime(tzinfo=UTC),
    )


def from_record_filter(request: pb.ListEventRecordsRequest) -> EventRecordFilter:
    """Reads which records are wanted."""
    return EventRecordFilter(
        instance_id=request.instance_id,
        rule_id=request.rule_id,
        event_type=request.event_type,
        namespaces=tuple(request.namespaces),
        repository=request.repository,
    )


def to_record_filter(wanted: EventRecordFilter, *, offset: int, size: int) -> pb.ListEventRecordsRequest:
    """Writes which records are wanted."""
    return pb.ListEventRecordsRequest(
        instance_id=wanted.instance_id,
        rule_id=wanted.rule_id,
        event_type=wanted.event_type,
        namespaces=wanted.namespaces,
        repository=wanted.repository,
        offset=offset,
        page_size=size,
    )


def _to_time(moment: datetime) -> Timestamp:
    time = Timestamp()
    time.FromDatetime(moment)
    return time
