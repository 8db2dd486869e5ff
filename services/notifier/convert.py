"""Messages of NotifierService to values and back."""

from __future__ import annotations

from datetime import UTC

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.notifier.v1 import notifier_service_pb2
from services.kernel.errors import invalid
from services.kernel.rpc.answers import answer_of
from services.notifier.api import Target, TargetKind

_KINDS: dict[int, TargetKind] = {
    notifier_service_pb2.TARGET_KIND_HTTP: TargetKind.HTTP,
    notifier_service_pb2.TARGET_KIND_HTTPS: TargetKind.HTTPS,
}


def from_kind(kind: int) -> TargetKind:
    """Reads the kind of a target.

    Raises:
        ServiceError: INVALID_TARGET_KIND.
    """
    if kind not in _KINDS:
        raise invalid("INVALID_TARGET_KIND", "A target needs a kind: HTTP or HTTPS.", field="kind")
    return _KINDS[kind]


def to_kind(kind: TargetKind) -> notifier_service_pb2.TargetKind.ValueType:
    """Writes the kind of a target."""
    return notifier_service_pb2.TargetKind.Value(f"TARGET_KIND_{kind.value}")


def to_target(target: Target) -> notifier_service_pb2.Target:
    """Writes a target."""
    created_at = Timestamp()
    created_at.FromDatetime(target.created_at)
    return notifier_service_pb2.Target(
        target_id=target.target_id,
        name=target.name,
        kind=to_kind(target.kind),
        url=target.url,
        create_time=created_at,
    )


@answer_of("notifier")
def from_target(said: notifier_service_pb2.Target) -> Target:
    """Reads a target as the notifier has it.

    Raises:
        ServiceError: NEWER_RELEASE for a kind that this release does not know.
    """
    return Target(
        target_id=said.target_id,
        name=said.name,
        kind=from_kind(said.kind),
        url=said.url,
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
    )
