"""Answers as JSON, typed as the reference documents them."""

from __future__ import annotations

from typing import Any

import msgspec
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from services.gateway.acr.parameters import fields_of

_ENVELOPE = ("code", "is_success", "request_id")


def to_json(answer: Message) -> bytes:
    """Writes an answer: numbers as numbers, every list, and every field but the optional ones that are not set.

    protobuf's own JSON would write 64-bit numbers as texts and leave out what is empty. A business failure has
    nothing but its code.
    """
    fields = answer.DESCRIPTOR.fields_by_name
    success = fields.get("is_success")
    if success is not None and not getattr(answer, success.name):
        return msgspec.json.encode({fields[name].json_name: getattr(answer, name) for name in _ENVELOPE})
    return msgspec.json.encode(_object(answer))


def _object(message: Message) -> dict[str, Any]:
    return {
        field.json_name: _value(field, getattr(message, field.name))
        for field in fields_of(message)
        if not field.has_presence or message.HasField(field.name)
    }


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.is_repeated:
        return [_object(item) for item in value] if field.message_type is not None else list(value)
    return _object(value) if field.message_type is not None else value
