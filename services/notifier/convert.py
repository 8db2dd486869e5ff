"""Messages of NotifierService to values and back."""

from __future__ import annotations

from datetime import UTC, timedelta

from google.protobuf.duration_pb2 import Duration

from drydock.notifier.v1 import notifier_service_pb2 as pb
from services.kernel.errors import invalid
from services.kernel.rpc.answers import answer_of
from services.notifier.api import Format, NewTarget, Target, TargetChange, TargetKind, TrialAnswer

_KINDS: dict[int, TargetKind] = {
    pb.TARGET_KIND_HTTP: TargetKind.HTTP,
    pb.TARGET_KIND_HTTPS: TargetKind.HTTPS,
    pb.TARGET_KIND_DINGTALK: TargetKind.DINGTALK,
    pb.TARGET_KIND_SLACK: TargetKind.SLACK,
    pb.TARGET_KIND_EMAIL: TargetKind.EMAIL,
}

_FORMATS: dict[int, Format] = {
    pb.TARGET_FORMAT_JSON: Format.JSON,
    pb.TARGET_FORMAT_CLOUDEVENTS_BINARY: Format.CLOUDEVENTS_BINARY,
    pb.TARGET_FORMAT_CLOUDEVENTS_STRUCTURED: Format.CLOUDEVENTS_STRUCTURED,
}


def from_kind(kind: int) -> TargetKind:
    """Reads the kind of a target.

    Raises:
        ServiceError: INVALID_TARGET_KIND.
    """
    if kind not in _KINDS:
        raise invalid(
            "INVALID_TARGET_KIND",
            f"A target needs a kind: {', '.join(kind.value for kind in TargetKind)}.",
            field="kind",
        )
    return _KINDS[kind]


def to_kind(kind: TargetKind) -> pb.TargetKind.ValueType:
    """Writes the kind of a target."""
    return pb.TargetKind.Value(f"TARGET_KIND_{kind.value}")


def from_format(form: int) -> Format | None:
    """Reads a format; None when it is not set.

    Raises:
        ServiceError: INVALID_TARGET_FORMAT.
    """
    if form == pb.TARGET_FORMAT_UNSPECIFIED:
        return None
    if form not in _FORMATS:
        raise invalid("INVALID_TARGET_FORMAT", "There is no such format.", field="format")
    return _FORMATS[form]


def to_format(form: Format) -> pb.TargetFormat.ValueType:
    """Writes a format."""
    return pb.TargetFormat.Value(f"TARGET_FORMAT_{form.value}")


def from_new_target(said: pb.Target) -> NewTarget:
    """Reads a target that somebody wants.

    Raises:
        ServiceError: INVALID_TARGET_KIND, INVALID_TARGET_FORMAT.
    """
    return NewTarget(
        name=said.name,
        kind=from_kind(said.kind),
        url=said.url,
        secret=said.secret,
        format=from_format(said.format) or Format.JSON,
        ca_certificates=said.ca_certificates,
    )


def to_new_target(new: NewTarget) -> pb.Target:
    """Writes a target that somebody wants."""
    return pb.Target(
        name=new.name,
        kind=to_kind(new.kind),
        url=new.url,
        secret=new.secret,
        format=to_format(new.format),
        ca_certificates=new.ca_certificates,
    )


def from_change(said: pb.UpdateTargetRequest) -> TargetChange:
    """Reads what is to change of a target.

    Raises:
        ServiceError: INVALID_TARGET_FORMAT.
    """
    return TargetChange(
        url=said.url if said.HasField("url") else None,
        secret=said.secret if said.HasField("secret") else None,
        overlap=_from_span(said.overlap) if said.HasField("overlap") else None,
        format=from_format(said.format),
        ca_certificates=said.ca_certificates if said.HasField("ca_certificates") else None,
    )


def _from_span(said: Duration) -> timedelta:
    try:
        return said.ToTimedelta()
    except (ValueError, OverflowError) as error:
        raise invalid("INVALID_OVERLAP", "The overlap is no span of time.", field="overlap") from error


def to_change(target: str, change: TargetChange) -> pb.UpdateTargetRequest:
    """Writes what is to change of a target."""
    request = pb.UpdateTargetRequest(
        target=target, url=change.url, secret=change.secret, ca_certificates=change.ca_certificates
    )
    if change.overlap is not None:
        request.overlap.FromTimedelta(change.overlap)
    if change.format is not None:
        request.format = to_format(change.format)
    return request


def to_target(target: Target) -> pb.Target:
    """Writes a target."""
    said = pb.Target(
        target_id=target.target_id,
        name=target.name,
        kind=to_kind(target.kind),
        url=target.url,
        has_secret=target.has_secret,
        format=to_format(target.format),
        ca_certificates=target.ca_certificates,
    )
    said.create_time.FromDatetime(target.created_at)
    if target.old_secret_until is not None:
        said.old_secret_until.FromDatetime(target.old_secret_until)
    return said


@answer_of("notifier")
def from_target(said: pb.Target) -> Target:
    """Reads a target as the notifier has it.

    Raises:
        ServiceError: NEWER_RELEASE for a kind or format that this release does not know.
    """
    overlaps = said.HasField("old_secret_until")
    return Target(
        target_id=said.target_id,
        name=said.name,
        kind=from_kind(said.kind),
        url=said.url,
        format=from_format(said.format) or Format.JSON,
        ca_certificates=said.ca_certificates,
        has_secret=said.has_secret,
        old_secret_until=said.old_secret_until.ToDatetime(tzinfo=UTC) if overlaps else None,
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
    )


def to_trial_answer(answer: TrialAnswer) -> pb.SendTestNotificationResponse:
    """Writes what became of a test."""
    said = pb.SendTestNotificationResponse(
        delivered=answer.delivered,
        reason=answer.reason,
        message=answer.message,
        status=answer.status,
        answer=answer.answer,
        delivery_id=answer.delivery_id,
    )
    said.duration.FromTimedelta(answer.duration)
    return said


@answer_of("notifier")
def from_trial_answer(said: pb.SendTestNotificationResponse) -> TrialAnswer:
    """Reads what became of a test."""
    return TrialAnswer(
        delivered=said.delivered,
        reason=said.reason,
        message=said.message,
        status=said.status if said.HasField("status") else None,
        answer=said.answer,
        duration=said.duration.ToTimedelta(),
        delivery_id=said.delivery_id,
    )
