"""Messages of engines to values and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.rules.v1 import engine_pb2
from services.kernel.model.engine import parse_engine
from services.kernel.rpc.answers import answer_of
from services.rules.engines.api import (
    Condition,
    ConditionType,
    EngineStatus,
    Part,
    PartHealth,
    Region,
    ScannerReport,
    Status,
)

_STATUSES: dict[Status, engine_pb2.ConditionStatus.ValueType] = {
    Status.TRUE: engine_pb2.CONDITION_STATUS_TRUE,
    Status.FALSE: engine_pb2.CONDITION_STATUS_FALSE,
    Status.UNKNOWN: engine_pb2.CONDITION_STATUS_UNKNOWN,
}
_BY_NUMBER: dict[int, Status] = {number: status for status, number in _STATUSES.items()}
_PARTS = frozenset(part.value for part in Part)


def to_engine(status: EngineStatus) -> engine_pb2.ScanEngine:
    """Writes an engine as it stands."""
    state = engine_pb2.ENGINE_STATE_ACTIVE if status.active else engine_pb2.ENGINE_STATE_INACTIVE
    return engine_pb2.ScanEngine(
        instance_id=status.instance_id,
        engine=status.engine.value,
        in_use=status.in_use,
        state=state,
        conditions=[_to_condition(condition) for condition in status.conditions],
        authorized_by=status.authorized_by,
        authorize_time=_timestamp(status.authorized_at),
        database_time=_timestamp(status.database_at),
    )


@answer_of("rules")
def from_engine(said: engine_pb2.ScanEngine) -> EngineStatus:
    """Reads an engine as rules has it.

    Raises:
        ServiceError: NEWER_RELEASE for an engine or a condition that this release does not know.
    """
    return EngineStatus(
        instance_id=said.instance_id,
        engine=parse_engine(said.engine),
        in_use=said.in_use,
        conditions=tuple(_from_condition(condition) for condition in said.conditions),
        authorized_by=said.authorized_by,
        authorized_at=_moment(said.authorize_time) if said.HasField("authorize_time") else None,
        database_at=_moment(said.database_time) if said.HasField("database_time") else None,
    )


def to_region(region: Region) -> engine_pb2.Region:
    """Writes a region."""
    return engine_pb2.Region(region=region.name, instances=region.instances)


def from_region(said: engine_pb2.Region) -> Region:
    """Reads a region."""
    return Region(name=said.region, instances=said.instances)


def to_report(report: ScannerReport) -> engine_pb2.ScannerReport:
    """Writes what a scanner says of itself."""
    return engine_pb2.ScannerReport(
        node_id=report.node_id,
        valid_seconds=report.valid_seconds,
        parts=[
            engine_pb2.ScannerPart(
                part=health.part.value,
                ready=health.ready,
                version=health.version,
                database_version=health.database_version,
                database_time=_timestamp(health.database_at),
                reason=health.reason,
                message=health.message,
            )
            for health in report.parts
        ],
    )


def from_report(said: engine_pb2.ScannerReport) -> ScannerReport:
    """Reads what a scanner says of itself; parts of a newer release are of no use to this one, and left out."""
    return ScannerReport(
        node_id=said.node_id,
        valid_seconds=said.valid_seconds,
        parts=tuple(
            PartHealth(
                part=Part(each.part),
                ready=each.ready,
                version=each.version,
                database_version=each.database_version,
                database_at=_moment(each.database_time) if each.HasField("database_time") else None,
                reason=each.reason,
                message=each.message,
            )
            for each in said.parts
            if each.part in _PARTS
        ),
    )


def _to_condition(condition: Condition) -> engine_pb2.Condition:
    return engine_pb2.Condition(
        type=condition.type.value,
        status=_STATUSES[condition.status],
        reason=condition.reason,
        message=condition.message,
        last_transition_time=_timestamp(condition.changed_at),
    )


def _from_condition(said: engine_pb2.Condition) -> Condition:
    return Condition(
        type=ConditionType(said.type),
        status=_BY_NUMBER[said.status],
        reason=said.reason,
        message=said.message,
        changed_at=_moment(said.last_transition_time),
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    written = Timestamp()
    written.FromDatetime(moment)
    return written


def _moment(said: Timestamp) -> datetime:
    return said.ToDatetime(tzinfo=UTC)
