"""What the watchers of a process ask it: metrics, alive, ready."""

from __future__ import annotations

import msgspec
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.kernel.run import Readiness


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
