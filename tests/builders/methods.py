"""Every method that the gateway serves, and requests for them that name what a test wants named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from drydock.acr.v20181201 import container_registry_pb2
from drydock.fixer.v1 import fixer_service_pb2
from drydock.gateway.v1 import admin_service_pb2
from drydock.notifier.v1 import notifier_service_pb2
from drydock.rules.v1 import rules_service_pb2
from drydock.scanner.v1 import scanner_service_pb2

_FILES: tuple[Any, ...] = (
    container_registry_pb2,
    admin_service_pb2,
    fixer_service_pb2,
    notifier_service_pb2,
    rules_service_pb2,
    scanner_service_pb2,
    health_pb2,
    reflection_pb2,
)
METHODS: Mapping[str, MethodDescriptor] = {
    f"/{service.full_name}/{method.name}": method
    for file in _FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
}
"""By their full names."""


def filled(method: MethodDescriptor, names: Mapping[str, str]) -> tuple[Message, set[str]]:
    """Makes the request of a method with these fields set wherever it has them, and returns which it has.

    Messages inside are filled, too; words have their last value, and masks name the `field`.
    """
    request = GetMessageClass(method.input_type)()
    return request, _fill(request, names)


def _fill(message: Message, names: Mapping[str, str]) -> set[str]:
    found = set()
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated:
            continue
        if field.message_type is not None and field.message_type.full_name == "google.protobuf.FieldMask":
            getattr(message, field.name).paths.append(names["field"])
        elif field.enum_type is not None:
            setattr(message, field.name, field.enum_type.values[-1].number)
        elif field.message_type is None and field.name in names and field.type == field.TYPE_STRING:
            setattr(message, field.name, names[field.name])
            found.add(field.name)
        elif field.message_type is not None and field.message_type.full_name.startswith("drydock."):
            found |= _fill(getattr(message, field.name), names)
    return found


async def answer_of(
    channel: grpc.aio.Channel, name: str, request: bytes = b"", *, token: str = ""
) -> tuple[grpc.StatusCode, str, bytes]:
    """Calls a method with an encoded request; returns code, details, and the first answer."""
    method = METHODS[name]
    said = (("authorization", f"Bearer {token}"),)
    codecs: Any = {"request_serializer": bytes, "response_deserializer": bytes}
    call: Any
    try:
        if method.client_streaming:
            call = channel.stream_stream(name, **codecs)(iter([request]), timeout=10, metadata=said)
        elif method.server_streaming:
            call = channel.unary_stream(name, **codecs)(request, timeout=10, metadata=said)
        else:
            call = channel.unary_unary(name, **codecs)(request, timeout=10, metadata=said)
            return grpc.StatusCode.OK, "", await call
        first = await anext(aiter(call), b"")
        call.cancel()
    except grpc.aio.AioRpcError as error:
        return error.code(), error.details() or "", b""
    return grpc.StatusCode.OK, "", first
