"""What the watchers of a process ask it: metrics, alive, ready."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.kernel.run import Readiness
from services.kernel.webserver import serve_http


def monitoring_app(readiness: Readiness, registry: CollectorRegistry) -> Starlette:
    """Builds `/metrics`, `/healthz` (200 while the loop turns) and `/readyz` (503 with the obstacles)."""

    async def metrics(request: Request) -> Response:
        del request
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    async def healthz(request: Request) -> Response:
        del request
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        del request
        obstacles = readiness.obstacles()
        body = msgspec.json.encode({"ready": not obstacles, "obstacles": obstacles})
        return Response(body, 503 if obstacles else 200, media_type="application/json")

    return Starlette(
        routes=[
            Route("/metrics", metrics, methods=["GET"]),
            Route("/healthz", healthz, methods=["GET"]),
            Route("/readyz", readyz, methods=["GET"]),
        ]
    )


def serve_monitoring(
    readiness: Readiness, registry: CollectorRegistry, address: str
) -> AbstractAsyncContextManager[str]:
    """Serves them on `HOST:PORT` until exit and yields where.

    Open it first: so it outlives all that it tells of.

    Raises:
        ServiceError: ADDRESS_NOT_AVAILABLE.
    """
    return serve_http(monitoring_app(readiness, registry), address, grace_seconds=1.0)
