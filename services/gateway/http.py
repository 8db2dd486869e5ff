"""The gateway's HTTP door: its routes, and one shape for everything that goes wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Protocol

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

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
) -> ASGIApp:
    """Builds the application; what else it is made of brings its own routes.

    A body that is longer breaks off where it is read, with 413.
    """
    door = Door(ids)
    routes = (
        *(
            Route(f"/webhooks/{name}/{{instance_id}}", door.guarded(endpoint), methods=["POST"])
            for name, endpoint in _webhooks(webhooks)
        ),
        Route("/", door.guarded(acr.answer, acr.refuse), methods=["GET", "POST"]),
        *(route for part in parts for route in part.routes(door.guarded)),
    )
    return BodyLimit(Dispatch(routes, door.refuse), most=max_request_bytes)


def _webhooks(door: WebhookDoor) -> Iterator[tuple[str, Endpoint]]:
    for name, language in WEBHOOKS.items():
        yield name, partial(door.receive, language)


class Dispatch:
    """Hands each request to the endpoint of its route; as these are guarded, nothing is caught around them.

    Starlette's application would wrap each of them four times, which costs a webhook more than to read it.
    """

    def __init__(self, routes: Sequence[Route], refuse: Callable[[Request, int, str], Response]) -> None:
        """`refuse` answers what no route answers: with a status, and the methods that the path takes, if any."""
        self._routes = routes
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        response = await self._answer(scope, Request(scope, receive))
        await response(scope, receive, send)

    async def _answer(self, scope: Scope, request: Request) -> Response:
        allowed: set[str] = set()
        for route in self._routes:
            match, found = route.matches(scope)
            if match is Match.FULL:
                scope.update(found)
                response: Response = await route.endpoint(request)
                return response
            if match is Match.PARTIAL:
                allowed |= route.methods or set()
        return self._refuse(request, 405 if allowed else 404, ", ".join(sorted(allowed)))


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

    def refuse(self, request: Request, status: int, allowed: str) -> Response:
        """Answers what no route answers."""
        wrong = ServiceError(
            Kind.NOT_FOUND,
            "METHOD_NOT_ALLOWED" if status == 405 else "PATH_NOT_EXIST",
            f"Nothing here answers {request.method} to this path.",
        )
        response = to_response(wrong, self._enter(request), status=status)
        if allowed:
            response.headers["allow"] = allowed
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
