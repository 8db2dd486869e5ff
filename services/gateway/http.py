"""The gateway's HTTP door: its routes, and one shape for everything that goes wrong."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import MappingProxyType

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.gateway.problem import Refusal, to_response
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

log = structlog.get_logger()

Endpoint = Callable[[Request], Awaitable[Response]]


WEBHOOKS: Mapping[str, Language] = MappingProxyType(
    {"distribution": Distribution(), "harbor": Harbor(), "cloudevents": CloudEvents()}
)
"""The languages of senders, each by its part of the path."""


def http_app(*, webhooks: WebhookDoor, ids: Ids) -> Starlette:
    """Builds the application."""
    door = _Door(ids)
    return Starlette(
        routes=[
            *(
                Route(f"/webhooks/{name}/{{instance_id}}", door.guarded(endpoint), methods=["POST"])
                for name, endpoint in _webhooks(webhooks)
            ),
        ],
        exception_handlers={HTTPException: door.refuse},
    )


def _webhooks(door: WebhookDoor) -> Iterator[tuple[str, Endpoint]]:
    for name, language in WEBHOOKS.items():
        yield name, functools.partial(door.receive, language)


class _Door:
    """Gives each call its id and turns failures into answers."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def guarded(self, endpoint: Endpoint) -> Endpoint:
        """Wraps an endpoint; no exception leaves it, no exception text reaches the caller."""

        async def answer(request: Request) -> Response:
            chosen = self._enter(request)
            try:
                response = await endpoint(request)
            except ServiceError as error:
                return _refused(error, chosen)
            except Exception as error:
                if is_outage(error):
                    log.warning("http.database_away", exc_info=error)
                    return _refused(unavailable(), chosen)
                log.exception("http.failed")
                return _refused(internal(chosen), chosen)
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


def _refused(error: ServiceError, chosen: str) -> Response:
    log.info("http.refused", reason=error.reason)
    response = to_response(error, chosen, status=error.status if isinstance(error, Refusal) else 0)
    # The body may be unread: whoever goes on sending it must not hold the connection.
    response.headers["connection"] = "close"
    return response
