"""The ACR door over HTTP: `POST /` and `GET /`, RPC style, through the same code as the RPCs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from drydock.acr.v20181201 import container_registry_pb2 as pb
from services.gateway.acr.answers import to_json
from services.gateway.acr.caller import Callers
from services.gateway.acr.failures import Code, refusal, to_failure
from services.gateway.acr.parameters import merge, parse_pairs, to_request
from services.gateway.acr.signing import Call, signs_parameters_alone
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.rpc import call_context

SERVICE: Final = pb.DESCRIPTOR.services_by_name["ContainerRegistry"]
VERSION: Final = "2018-12-01"
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_HEAD_BYTES: Final = 128 * 1024
"""The SDKs send every parameter in the query, long lists and the JSON of a chain with them."""
_FORM: Final = "application/x-www-form-urlencoded"

Behaviour = Callable[[Any, Any], Awaitable[Message]]
"""Answers one action: takes the request's message and a context."""


class Context:
    """What an action may say besides its answer, as over gRPC."""

    def __init__(self) -> None:
        self._trailers: tuple[tuple[str, str], ...] = ()

    def trailing_metadata(self) -> Sequence[tuple[str, str]]:
        """Returns what was said so far."""
        return self._trailers

    def set_trailing_metadata(self, trailers: Sequence[tuple[str, str]]) -> None:
        """Says it; over HTTP these are headers of the answer."""
        self._trailers = tuple(trailers)


def _nothing(header: str) -> str:
    del header
    return ""


class AcrDoor:
    """Reads a call, finds out whose it is, and hands it to the action."""

    def __init__(self, behaviours: Mapping[str, Behaviour], callers: Callers, *, deadline_seconds: float) -> None:
        """`behaviours` has every action of the service by its name."""
        self._behaviours = behaviours
        self._callers = callers
        self._deadline_seconds = deadline_seconds

    async def answer(self, request: Request) -> Response:
        """Answers a call.

        Raises:
            ServiceError: what is wrong with it, for `refuse`.
        """
        deadline = asyncio.timeout(self._deadline_seconds)
        call_context.enter(self._deadline_seconds)
        try:
            async with deadline:
                return await self._answer(request)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise ServiceError(
                Kind.DEADLINE_EXCEEDED,
                "DEADLINE_EXCEEDED",
                f"The call could not be answered within {self._deadline_seconds:g} seconds.",
                hint="Try again.",
            ) from error

    def refuse(self, error: ServiceError, request: Request, request_id: str) -> Response:
        """Writes an error in the reference's form."""
        action = getattr(request.state, "action", "")
        method = SERVICE.methods_by_name.get(action)
        host = request.headers.get("host", "")
        described = method.input_type if method is not None else None
        return to_failure(error, request_id=request_id.upper(), host=host, request=described)

    async def _answer(self, request: Request) -> Response:
        call = await _read_call(request)
        parameters = merge(call.query, call.form)
        said = _nothing if signs_parameters_alone(call) else call.header
        action = said("x-acs-action") or parameters.get("Action", "")
        version = said("x-acs-version") or parameters.get("Version", "")
        for name, value in (("Action", action), ("Version", version)):
            if not value:
                raise refusal(Code.MISSING_PARAMETER, f"The parameter {name} is missing.")
        key = await self._callers.identify(call)
        if version != VERSION:
            raise refusal(Code.INVALID_VERSION, f"{version[:40]!r} is no version here.", hint=f"Use {VERSION}.")
        method = SERVICE.methods_by_name.get(action)
        if method is None:
            raise refusal(
                Code.UNKNOWN_ACTION,
                f"There is no action {action[:80]!r} here.",
                hint="docs/acr.md lists those that there are.",
            )
        request.state.action = action
        self._callers.authorize(key, f"/{SERVICE.full_name}/{action}")
        context = Context()
        asked = to_request(GetMessageClass(method.input_type), parameters)
        answered = await self._behaviours[action](asked, context)
        return Response(
            to_json(answered), headers=dict(context.trailing_metadata()), media_type="application/json"
        )


async def _read_call(request: Request) -> Call:
    body = await _read_body(request)
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Call(
        method=request.method,
        headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw],
        query=parse_pairs(request.scope["query_string"]),
        form=parse_pairs(body) if content_type == _FORM else (),
        body=body,
    )


async def _read_body(request: Request) -> bytes:
    length = request.headers.get("content-length", "0")
    if length.isdecimal() and int(length[:20]) > MAX_BODY_BYTES:
        raise _too_large()
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise _too_large()
    except ClientDisconnect as error:
        raise invalid("CUT_OFF", "The caller hung up in the middle of the body.") from error
    return bytes(body)


def _too_large() -> ServiceError:
    return refusal(Code.BODY_TOO_LARGE, f"A body may have {MAX_BODY_BYTES} bytes.")
