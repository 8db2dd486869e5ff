"""Keys and dead letters between dataclass and protobuf."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from types import MappingProxyType

from google.protobuf import duration_pb2
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from drydock.events.v1 import image_event_pb2, scan_event_pb2, scan_request_pb2
from drydock.gateway.v1 import admin_service_pb2 as pb
from services.gateway.api import AuditRecord, DeadLetter, Key, KeyScope, Role
from services.kernel.bus.interface import BULK_REQUESTS, IMAGE_EVENTS, SCAN_EVENTS, SCAN_REQUESTS, Place
from services.kernel.errors import invalid

_ROLES = {
    pb.ROLE_ADMIN: Role.ADMIN,
    pb.ROLE_OPERATOR: Role.OPERATOR,
    pb.ROLE_CLIENT: Role.CLIENT,
    pb.ROLE_VIEWER: Role.VIEWER,
    pb.ROLE_WEBHOOK: Role.WEBHOOK,
}
_NUMBERS = {role: number for number, role in _ROLES.items()}
_KINDS: Mapping[str, type[Message]] = MappingProxyType(
    {
        IMAGE_EVENTS: image_event_pb2.ImageEvent,
        SCAN_REQUESTS: scan_request_pb2.ScanRequest,
        BULK_REQUESTS: scan_request_pb2.ScanRequest,
        SCAN_EVENTS: scan_event_pb2.ScanEvent,
    }
)
_HEADERS = 100
_HEADER_CHARACTERS = 1000
_KEY_CHARACTERS = 200
_VALUE_BYTES = 4096
_READABLE_BYTES = 64 * 1024


def from_role(number: pb.Role.ValueType) -> Role:
    """Reads a role.

    Raises:
        ServiceError: INVALID_ROLE when it is not set, or newer than this server.
    """
    role = _ROLES.get(number)
    if role is None:
        raise invalid(
            "INVALID_ROLE",
            "The key needs a role.",
            field="role",
            hint="One of admin, operator, client, viewer, webhook.",
        )
    return role


def to_key(key: Key) -> pb.Key:
    """Writes a key."""
    message = pb.Key(
        key_id=key.key_id,
        name=key.name,
        role=_NUMBERS[key.role],
        instance_id=key.instance_id,
        scopes=[
            pb.KeyScope(instance=instance, namespaces=sorted(names))
            for instance, names in sorted(key.scopes.items())
        ],
    )
    message.create_time.FromDatetime(key.created_at)
    for moment, field in (
        (key.expires_at, message.expire_time),
        (key.last_used_at, message.last_use_time),
        (key.overlap_until, message.overlap_end_time),
    ):
        if moment is not None:
            field.FromDatetime(moment)
    return message


def from_scopes(scopes: Iterable[pb.KeyScope]) -> tuple[KeyScope, ...]:
    """Reads what a key is to be limited to."""
    return tuple(KeyScope(instance=scope.instance, namespaces=tuple(scope.namespaces)) for scope in scopes)


def from_span(message: duration_pb2.Duration, field: str) -> timedelta:
    """Reads a length of time.

    Raises:
        ServiceError: INVALID_LIFETIME, INVALID_OVERLAP: it is longer than anything is.
    """
    try:
        return message.ToTimedelta()
    except (OverflowError, ValueError) as error:
        raise invalid(f"INVALID_{field.upper()}", f"The {field} is no length of time.", field=field) from error


def to_audit_record(record: AuditRecord) -> pb.AuditRecord:
    """Writes a record of the audit log."""
    message = pb.AuditRecord(
        record_id=record.record_id,
        actor=record.actor,
        action=record.action,
        instance=record.instance,
        subject=record.subject,
        outcome=record.outcome,
        request_id=record.request_id,
    )
    message.record_time.FromDatetime(record.at)
    return message


def from_letter_name(name: pb.DeadLetterName) -> tuple[str, Place]:
    """Reads a topic and a place in its dead letters."""
    return name.topic, Place(partition=name.partition, position=name.position)


def to_letter(letter: DeadLetter) -> pb.DeadLetter:
    """Writes what a listing tells of a dead letter."""
    name = pb.DeadLetterName(topic=letter.topic, partition=letter.place.partition, position=letter.place.position)
    message = pb.DeadLetter(
        name=name,
        group=letter.refusal.group[:_HEADER_CHARACTERS],
        reason=letter.refusal.reason[:_HEADER_CHARACTERS],
        error=letter.refusal.error[:_HEADER_CHARACTERS],
        key=letter.message.key.decode("utf-8", "backslashreplace")[:_KEY_CHARACTERS],
        size=len(letter.message.value),
    )
    message.bury_time.FromDatetime(letter.buried_at)
    return message


def to_letter_content(letter: DeadLetter) -> pb.GetDeadLetterResponse:
    """Writes a dead letter with its content."""
    value = letter.message.value
    text = _as_json(letter.topic, value)
    return pb.GetDeadLetterResponse(
        letter=to_letter(letter),
        headers={
            name[:_HEADER_CHARACTERS]: header[:_HEADER_CHARACTERS]
            for name, header in list(letter.message.headers.items())[:_HEADERS]
        },
        json=text,
        value=b"" if text else value[:_VALUE_BYTES],
    )


def _as_json(topic: str, value: bytes) -> str:
    """Writes a message as JSON; empty when it is too large, or no message of its topic, or has unknown fields.

    Unknown fields are a sign of bytes that only happen to be readable: JSON would leave them out without a word.
    """
    kind = _KINDS.get(topic)
    if kind is None or not value or len(value) > _READABLE_BYTES:
        return ""
    try:
        message = kind.FromString(value)
        if len(UnknownFieldSet(message)):
            return ""
        return MessageToJson(message, preserving_proto_field_name=True)
    except (DecodeError, ValueError):  # a number may be no enum's, a time none that JSON can hold
        return ""
