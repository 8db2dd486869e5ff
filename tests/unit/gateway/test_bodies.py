"""The bound on bodies, over real HTTP, whatever route reads them."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.gateway.bodies import BodyLimit
from services.gateway.http import Endpoint
from services.gateway.problem import to_response
from services.kernel.errors import ServiceError
from services.kernel.webserver import serve_http

MOST = 1000


async def length(request: Request) -> Response:
    """A route that reads all that it is sent."""
    try:
        return PlainTextResponse(str(len(await request.body())))
    except ServiceError as error:
        return to_response(error, "id", status=getattr(error, "status", 0))


@pytest.fixture
async def url() -> AsyncIterator[str]:
    endpoint: Endpoint = length
    app = BodyLimit(Route("/", endpoint, methods=["POST"]), most=MOST)
    async with serve_http(app, "127.0.0.1:0") as address:
        yield f"http://{address}/"


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * 100


@pytest.mark.parametrize(("size", "status"), [(0, 200), (MOST, 200), (MOST + 1, 413), (10**7, 413)])
async def test_a_body_is_refused_by_the_length_that_it_tells(url: str, size: int, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, data=io.BytesIO(b"x" * size)) as response:
        assert response.status == status
        if status == 413:
            assert (await response.json())["code"] == "REQUEST_TOO_LARGE"


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 413), (10_000, 413)])
async def test_a_body_of_unknown_length_is_counted(url: str, count: int, status: int) -> None:
    async with aiohttp.ClientSession() as session, session.post(url, data=pieces(count)) as response:
        assert response.status == status
