"""What the ACR door says when it does not do what was asked: the reference's codes and its body."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from google.protobuf.descriptor import Descriptor
from starlette.responses import Response

from services.gateway.problem import retry_headers, status_of
from services.kernel.errors import Kind, ServiceError


class Code(enum.Enum):
    """Codes of the reference for what its own gateway refuses, with the kind of ours and its HTTP status."""

    MISSING_PARAMETER = ("MissingParameter", Kind.INVALID_ARGUMENT, 400)
    PARAMETER_ERROR = ("PARAMETER_ERROR", Kind.INVALID_ARGUMENT, 400)
    INVALID_VERSION = ("InvalidVersion", Kind.INVALID_ARGUMENT, 400)
    UNKNOWN_ACTION = ("InvalidAction.NotFound", Kind.NOT_FOUND, 404)
    UNKNOWN_ACCESS_KEY = ("InvalidAccessKeyId.NotFound", Kind.UNAUTHENTICATED, 404)
    INCOMPLETE_SIGNATURE = ("IncompleteSignature", Kind.UNAUTHENTICATED, 400)
    SIGNATURE_DOES_NOT_MATCH = ("SignatureDoesNotMatch", Kind.UNAUTHENTICATED, 403)
    ILLEGAL_TIMESTAMP = ("IllegalTimestamp", Kind.INVALID_ARGUMENT, 400)
    EXPIRED_TIMESTAMP = ("InvalidTimeStamp.Expired", Kind.UNAUTHENTICATED, 400)
    NONCE_USED = ("SignatureNonceUsed", Kind.UNAUTHENTICATED, 400)
    BODY_TOO_LARGE = ("RequestBodyTooLarge", Kind.INVALID_ARGUMENT, 413)

    def __init__(self, word: str, kind: Kind, status: int) -> None:
        self.word = word
        self.kind = kind
        self.status = status


_BY_REASON: Final = MappingProxyType({code.name: code for code in Code})
_BY_KIND: Final[Mapping[Kind, tuple[str, int]]] = MappingProxyType(
    {
        Kind.PERMISSION_DENIED: ("NoPrivilege", 403),
        Kind.RESOURCE_EXHAUSTED: ("Throttling.User", 429),
        Kind.UNAVAILABLE: ("ServiceUnavailableTemporary", 503),
        Kind.DEADLINE_EXCEEDED: ("ServiceUnavailableTemporary", 503),
        Kind.INTERNAL: ("SystemError", 500),
    }
)
"""Kinds that have one word in the reference, whatever our reason is."""
_OPERATORS: Final = frozenset({"SECRET_UNREADABLE"})
"""What only an operator can mend: callers are told no more than that it is so."""
_FIELD: Final = re.compile(r"(?<=The field )[a-z]+\b|[a-z]+(?:_[a-z]+)+")
"""What may name a field: words with underscores, and a single word where it can be nothing else."""
_HOST_CHARACTERS: Final = 255
_RETRY_SECONDS: Final = 1.0


class FailureBody(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The body of a failed call."""

    code: str
    message: str
    request_id: str
    host_id: str
    recommend: str


def refusal(code: Code, message: str, *, hint: str = "") -> ServiceError:
    """An error of the door itself."""
    return ServiceError(code.kind, code.name, message, hint=hint)


def to_failure(error: ServiceError, *, request_id: str, host: str, request: Descriptor | None) -> Response:
    """Writes an error. Fields of the request are called by the reference's names in it, where it got so far."""
    if error.reason in _OPERATORS:
        error = ServiceError(Kind.INTERNAL, error.reason, "The server is not set up right; its log says how.")
    word, status = _word(error)
    body = FailureBody(
        code=word,
        message=_renamed(error.message, request),
        request_id=request_id,
        host_id=host[:_HOST_CHARACTERS],
        recommend=_renamed(error.hint, request),
    )
    headers = {"x-drydock-reason": error.reason}
    if error.kind is Kind.RESOURCE_EXHAUSTED:
        # Milliseconds. On any failure that carries it, the SDKs speak of throttling: it is for nothing else.
        seconds = error.retry_after if error.retry_after is not None else _RETRY_SECONDS
        headers["x-acs-retry-after"] = str(max(1, math.ceil(seconds * 1000)))
    headers.update(retry_headers(error, status))
    return Response(msgspec.json.encode(body), status, headers, media_type="application/json")


def _word(error: ServiceError) -> tuple[str, int]:
    code = _BY_REASON.get(error.reason)
    if code is None and status_of(error) == Code.BODY_TOO_LARGE.status:
        code = Code.BODY_TOO_LARGE
    if code is not None:
        return code.word, code.status
    if error.kind in _BY_KIND:
        return _BY_KIND[error.kind]
    if error.kind is Kind.INVALID_ARGUMENT and error.reason.startswith("INVALID_"):
        return Code.PARAMETER_ERROR.word, Code.PARAMETER_ERROR.status
    return error.reason, status_of(error)


def _renamed(text: str, request: Descriptor | None) -> str:
    if request is None:
        return text
    names = {field.name: field.json_name for field in request.fields}
    return _FIELD.sub(lambda match: names.get(match[0], match[0]), text)
