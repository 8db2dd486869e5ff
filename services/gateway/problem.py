"""ServiceError over HTTP: the same code, sentence and hint as over gRPC, as a JSON object."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from starlette.responses import Response

from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.request_id import HEADER

HTTP_STATUSES: Mapping[Kind, int] = MappingProxyType(
    {
        Kind.INVALID_ARGUMENT: 400,
        Kind.UNAUTHENTICATED: 401,
        Kind.PERMISSION_DENIED: 403,
        Kind.NOT_FOUND: 404,
        Kind.ALREADY_EXISTS: 409,
        Kind.ABORTED: 409,
        Kind.FAILED_PRECONDITION: 412,
        Kind.RESOURCE_EXHAUSTED: 429,
        Kind.INTERNAL: 500,
        Kind.UNAVAILABLE: 503,
        Kind.DEADLINE_EXCEEDED: 503,  # of a service behind us: it passes, and the caller is to come back
    }
)
"""The one HTTP status of each kind; a refusal may say a narrower one, such as 413."""
_PASSING = frozenset({429, 503})
_RETRY_SECONDS = 2.0


class Refusal(ServiceError):
    """A refusal whose HTTP status is narrower than that of its kind."""

    def __init__(self, status: int, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(Kind.INVALID_ARGUMENT, reason, message, hint=hint)
        self.status = status


def status_of(error: ServiceError) -> int:
    """Returns the HTTP status of an error, at whatever door."""
    return error.status if isinstance(error, Refusal) else HTTP_STATUSES[error.kind]


def retry_headers(error: ServiceError, status: int) -> Mapping[str, str]:
    """Returns when to come back: told with every 429 and 503, or senders give up what they could deliver."""
    seconds = error.retry_after
    if seconds is None:
        if status not in _PASSING:
            return {}
        seconds = _RETRY_SECONDS
    return {"retry-after": str(max(1, math.ceil(seconds)))}


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a failed call."""

    code: str
    message: str
    request_id: str
    hint: str = ""
    field: str = ""


def to_response(error: ServiceError, request_id: str, *, status: int = 0) -> Response:
    """Writes an error; `status` overrides its own."""
    body = Problem(
        code=error.reason, message=error.message, request_id=request_id, hint=error.hint, field=error.field
    )
    status = status or status_of(error)
    headers = {HEADER: request_id, **retry_headers(error, status)}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["www-authenticate"] = 'Bearer realm="drydock"'
    text = msgspec.json.encode(body)
    return Response(text, status, headers, media_type="application/json")
