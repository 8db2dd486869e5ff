"""ServiceError as a gRPC status with `google.rpc` details, and back.

Format: `google/rpc/error_details.proto` and AIP-193, "Errors".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped] # the wheel has no marker

from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.request_id import HEADER

DOMAIN = "drydock"
DETAILS_KEY = "grpc-status-details-bin"
Trailers = tuple[tuple[str, str | bytes], ...]
M = TypeVar("M", bound=Message)

CODES: Mapping[Kind, grpc.StatusCode] = MappingProxyType({kind: grpc.StatusCode[kind.name] for kind in Kind})
"""The one gRPC status of each kind."""

KINDS: Mapping[grpc.StatusCode, Kind] = MappingProxyType(
    {code: kind for kind, code in CODES.items()}
    | {
        grpc.StatusCode.CANCELLED: Kind.ABORTED,
        grpc.StatusCode.UNKNOWN: Kind.INTERNAL,
        grpc.StatusCode.DATA_LOSS: Kind.INTERNAL,
        grpc.StatusCode.OUT_OF_RANGE: Kind.INVALID_ARGUMENT,
        grpc.StatusCode.UNIMPLEMENTED: Kind.FAILED_PRECONDITION,
    }
)
"""The kind of every gRPC status but OK, those that only foreign servers send included."""

# gRPC refuses trailers above 8 KiB, and the message counts three times over when it is not ASCII.
_MESSAGE_BYTES = 1000
_HINT_BYTES = 500
_FACT_BYTES = 200
_FACTS = 8

_FOREIGN: Mapping[grpc.StatusCode, tuple[str, str, str]] = MappingProxyType(
    {
        grpc.StatusCode.UNAVAILABLE: (
            "SERVER_UNAVAILABLE",
            "The server cannot be reached.",
            "Check the address, and that the server is running.",
        ),
        grpc.StatusCode.DEADLINE_EXCEEDED: (
            "DEADLINE_EXCEEDED",
            "The server did not answer in time.",
            "Try again, or allow more time.",
        ),
        grpc.StatusCode.UNIMPLEMENTED: (
            "NOT_IMPLEMENTED",
            "The server does not know this call.",
            "Check that server and client are of the same release.",
        ),
        grpc.StatusCode.CANCELLED: ("CANCELLED", "The call was cancelled before the answer came.", ""),
        grpc.StatusCode.RESOURCE_EXHAUSTED: (
            "MESSAGE_TOO_LARGE",
            "The request or the answer is larger than the connection allows.",
            "Ask for a smaller page.",
        ),
    }
)


def to_trailers(error: ServiceError, request_id: str) -> Trailers:
    """Returns the trailing metadata of a failed call: the details and the request id."""
    status = status_pb2.Status(code=CODES[error.kind].value[0], message=to_message(error))
    facts = {key: clip(value, _FACT_BYTES) for key, value in list(error.metadata.items())[:_FACTS]}
    if error.hint:
        facts["hint"] = clip(error.hint, _HINT_BYTES)
    status.details.add().Pack(error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts))
    if error.field:
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=clip(error.field, _FACT_BYTES), description=clip(error.message, _HINT_BYTES)
        )
        status.details.add().Pack(error_details_pb2.BadRequest(field_violations=[violation]))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(int(error.retry_after * 1e9))
        status.details.add().Pack(retry)
    if request_id:
        status.details.add().Pack(error_details_pb2.RequestInfo(request_id=request_id))
    return ((DETAILS_KEY, status.SerializeToString()), (HEADER, request_id))


def to_message(error: ServiceError) -> str:
    """Returns the sentence that becomes the status message, cut to what a trailer may hold."""
    return clip(error.message, _MESSAGE_BYTES)


def from_rpc_error(error: grpc.aio.AioRpcError) -> ServiceError:
    """Rebuilds the error that a server of ours raised; the request id is in `metadata["request_id"]`.

    A failure without our details (a proxy, a foreign server, no server at all) gets a sentence of ours: what
    others write there is not fit for users.
    """
    status = _details_of(error.trailing_metadata() or ())
    info = _find(status, error_details_pb2.ErrorInfo)
    if status is None or info is None or info.domain != DOMAIN:
        return _foreign(error.code())
    facts = dict(info.metadata)
    hint = facts.pop("hint", "")
    request = _find(status, error_details_pb2.RequestInfo)
    if request is not None:
        facts["request_id"] = request.request_id
    bad = _find(status, error_details_pb2.BadRequest)
    retry = _find(status, error_details_pb2.RetryInfo)
    return ServiceError(
        KINDS.get(error.code(), Kind.INTERNAL),
        info.reason,
        status.message,
        hint=hint,
        field=bad.field_violations[0].field if bad is not None and bad.field_violations else "",
        retry_after=retry.retry_delay.ToNanoseconds() / 1e9 if retry is not None else None,
        metadata=facts,
    )


def clip(text: str, limit: int) -> str:
    """Cuts a text to so many bytes of UTF-8; what UTF-8 cannot hold becomes question marks."""
    return text.encode("utf-8", "replace")[:limit].decode("utf-8", "ignore")


def _foreign(code: grpc.StatusCode) -> ServiceError:
    reason, message, hint = _FOREIGN.get(code, (code.name, f"The call failed with status {code.name}.", ""))
    return ServiceError(KINDS.get(code, Kind.INTERNAL), reason, message, hint=hint)


def _details_of(trailers: Iterable[tuple[str, str | bytes]]) -> status_pb2.Status | None:
    for key, value in trailers:
        if key == DETAILS_KEY and isinstance(value, bytes):
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                return None
    return None


def _find(status: status_pb2.Status | None, kind: type[M]) -> M | None:
    if status is None:
        return None
    for detail in status.details:
        if detail.Is(kind.DESCRIPTOR):
            found = kind()
            try:
                detail.Unpack(found)
            except DecodeError:
                return None
            return found
    return None
