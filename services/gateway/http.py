"""The gateway's HTTP door: its routes, and one shape for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.gateway.acr.door import AcrDoor
from services.gateway.bodies import BodyLimit
from services.gateway.problem import to_response
from services.gateway.webhooks.cloudevents import CloudEvents
from services.gateway.webhooks.door import WebhookDoor
from services.gateway.webhooks.envelope import Distribution
from services.gateway.webhooks.harbor import Harbor
from services.gateway.webhooks.language import Language
from services.kernel import trace
from services.kernel.db import is_outage, unavailable
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import Ids
from services.kernel.rpc import request_id
from services.kernel.rpc.failures import internal
from services.kernel.rpc.server import MAX_REQUEST_BYTES

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]
Refuse = Callable[[ServiceError, Request, str], Response]
"""Writes an error, of a call with this id."""


WEBHOOKS: Mapping[str, Language] = MappingProxyType(
    {"distribution": Distribution(), "harbor": Harbor(), "cloudevents": CloudEvents()}
)
"""The languages of senders, each by its part of the path."""


class Guard(Protocol):
    """Wraps an endpoint so that its failures become answers."""

    def __call__(self, endpoint: Endpoint, refuse: Refuse | None = None) -> Endpoint:
        """Returns the wrapped endpoint."""
        ...


class Part(Protocol):
    """A part of the door with routes of its own."""

    def routes(self, guarded: Guard) -> Sequence[Route]:
        """Returns the routes."""
        ...


def http_app(
    *,
    acr: AcrDoor,
    webhooks: WebhookDoor,
    ids: Ids,
    parts: Sequence[Part] = (),
    max_request_bytes: int = MAX_REQUEST_BYTES,
) -> Starlette:
    """Builds the application; what else it is made of brings its own routes.

    A body that is longer breaks off where it is read, with 413.
    """
    door = Door(ids)
    return Starlette(
        routes=[
            Route("/", door.guarded(acr.answer, acr.refuse), methods=["GET", "POST"]),
            *(
                Route(f"/webhooks/{name}/{{instance_id}}", door.guarded(endpoint), methods=["POST"])
                for name, endpoint in _webhooks(webhooks)
            ),
            *(route for part in parts for route in part.routes(door.guarded)),
        ],
        exception_handlers={HTTPException: door.refuse},
        middleware=[Middleware(BodyLimit, most=max_request_bytes)],
    )


def _webhooks(door: WebhookDoor) -> Iterator[tuple[str, Endpoint]]:
    for name, language in WEBHOOKS.items():
        yield name, partial(door.receive, language)


class Door:
    """Gives each call its id and turns failures into answers."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def guarded(self, endpoint: Endpoint, refuse: Refuse | None = None) -> Endpoint:
        """Wraps an endpoint; no exception leaves it, no exception text reaches the caller.

        `refuse` is for doors whose errors have a form of their own.
        """
        refused = partial(_refused, refuse or _problem)

        async def answer(request: Request) -> Response:
            chosen = self._enter(request)
            try:
                response = await endpoint(request)
            except ServiceError as error:
                return refused(error, request, chosen)
            except Exception as error:
                if is_outage(error):
                    log.warning("http.database_away", exc_info=error)
                    return refused(unavailable(), request, chosen)
                log.exception("http.failed")
                return refused(internal(chosen), request, chosen)
            response.headers[request_id.HEADER] = chosen
            return response

        return answer

    async def refuse(self, request: Request, error: Exception) -> Response:
        """Answers what no route answers."""
        status = error.status_code if isinstance(error, HTTPException) else 500
        wrong = ServiceError(
            Kind.NOT_FOUND,
            "METHOD_NOT_ALLOWED" if status == 405 else "PATH_NOT_EXIST",
            f"Nothing here answers {request.method} to this path.",
        )
        response = to_response(wrong, self._enter(request), status=status)
        if isinstance(error, HTTPException) and error.headers:
            response.headers.update(error.headers)
        return response

    def _enter(self, request: Request) -> str:
        chosen = request_id.accept(request.headers.get(request_id.HEADER, "")) or self._ids.uuid()
        request_id.bind(chosen)
        trace.begin(request.headers.get(trace.HEADER, ""))
        return chosen


def _problem(error: ServiceError, request: Request, chosen: str) -> Response:
    del request
    return to_response(error, chosen)


def _refused(refuse: Refuse, error: ServiceError, request: Request, chosen: str) -> Response:
    log.info("http.refused", reason=error.reason)
    response = refuse(error, request, chosen)
    response.headers[request_id.HEADER] = chosen
    # The body may be unread: whoever goes on sending it must not hold the connection.
    response.headers["connection"] = "close"
    return response
