"""A registry that lies: its lists are what a test says, page by page, and have no end if that says so."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from services.kernel.model.access import RegistryAccess
from services.lab.image import build_image
from services.lab.layer import LayerBuilder
from tests.registries import RunningRegistry

Pages = Callable[[int], tuple[list[str], int | None]]
"""Returns what is on a page, and which page follows it."""
_IMAGE = build_image([LayerBuilder().file("content", "lies").build()])


def only(*names: str) -> Pages:
    """Returns a list of one page."""
    return lambda _: (list(names), None)


_ONE_TAG = only("1")


@dataclasses.dataclass
class LyingRegistry:
    """What it says; every tag that is asked for is there."""

    catalogue: Pages
    tags: Pages = _ONE_TAG
    unknown: frozenset[str] = frozenset()
    """Repositories that it lists and knows not."""
    asked: Counter[str] = dataclasses.field(default_factory=Counter)
    """How often each path was asked for."""

    async def answer(self, request: web.Request) -> web.Response:
        """Serves one request."""
        self.asked[request.path] += 1
        if request.path == "/v2/_catalog":
            return _page(request, "repositories", self.catalogue)
        if request.path.removeprefix("/v2/").rpartition("/tags/")[0] in self.unknown:
            return web.json_response({"errors": [{"code": "NAME_UNKNOWN"}]}, status=404)
        if request.path.endswith("/tags/list"):
            return _page(request, "tags", self.tags)
        headers = {"Docker-Content-Digest": str(_IMAGE.digest), "Content-Type": _IMAGE.media_type}
        return web.Response(body=_IMAGE.manifest, headers=headers)


def _page(request: web.Request, what: str, pages: Pages) -> web.Response:
    names, following = pages(int(request.query.get("page", "0")))
    link = {} if following is None else {"Link": f'<{request.path}?page={following}>; rel="next"'}
    return web.json_response({what: names}, headers=link)


@asynccontextmanager
async def lying_registry(lies: LyingRegistry) -> AsyncIterator[RunningRegistry]:
    """Runs it in this loop."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", lies.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        address = "{}:{}".format(*runner.addresses[0])
        yield RunningRegistry(access=RegistryAccess(address=address, plain_http=True), lab=None)
    finally:
        await runner.cleanup()
