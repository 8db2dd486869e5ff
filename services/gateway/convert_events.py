"""Messages of the bus to JSON, for people who look at them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from google.protobuf.json_format import MessageToJson
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from drydock.events.v1 import image_event_pb2, scan_event_pb2, scan_request_pb2
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_EVENTS, SCAN_REQUESTS

_MAX_BYTES = 64 * 1024
_KINDS: Mapping[str, type[Message]] = MappingProxyType(
    {
        IMAGE_EVENTS: image_event_pb2.ImageEvent,
        SCAN_REQUESTS: scan_request_pb2.ScanRequest,
        SCAN_EVENTS: scan_event_pb2.ScanEvent,
    }
)


def to_json(topic: str, value: bytes) -> str:
    """Writes a message as JSON; empty when it is too large, or no message of its topic, or has unknown fields.

    Unknown fields are a sign of bytes that only happen to be readable: JSON would leave them out without a word.
    """
    kind = _KINDS.get(topic)
    if kind is None or not value or len(value) > _MAX_BYTES:
        return ""
    try:
        message = kind.FromString(value)
        if len(UnknownFieldSet(message)):
            return ""
        return MessageToJson(message, preserving_proto_field_name=True)
    except (DecodeError, ValueError):  # a number may be no enum's, a time none that JSON can hold
        return ""
