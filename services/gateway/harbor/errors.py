"""ServiceError as Harbor's API has it: the Error object, and the statuses that it documents."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from services.gateway.harbor import media
from services.gateway.problem import retry_headers, status_of
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.request_id import HEADER

_STATUSES: Final[Mapping[str, int]] = MappingProxyType(
    {
        "INVALID_JSON": 400,
        "INVALID_SBOM_MEDIA_TYPE": 400,
        "BODY_CUT_OFF": 400,
        "CAPABILITY_NOT_SUPPORTED": 501,
        "ARTIFACT_NOT_SUPPORTED": 501,
        "REPORT_NOT_SUPPORTED": 501,
        "PLATFORM_AMBIGUOUS": 501,
    }
)
"""Where Harbor's API documents another status than that of the error's kind."""


def to_error(error: ServiceError, request: Request, request_id: str) -> Response:
    """Writes an error; Harbor shows its sentence in the log of the scan."""
    del request
    status = _status(error)
    headers = {HEADER: request_id, **retry_headers(error, status)}
    if error.kind is Kind.UNAUTHENTICATED:
        headers["www-authenticate"] = 'Basic realm="drydock", Bearer realm="drydock"'
    body = {"error": {"message": f"{error.sentence()} ({error.reason})"}}
    return Response(msgspec.json.encode(body), status, headers, media_type=media.ERROR)


def _status(error: ServiceError) -> int:
    if error.reason in _STATUSES:
        return _STATUSES[error.reason]
    status = status_of(error)
    return 422 if status == 400 else status
