"""Images that can be fixed, and the repository of each: one signed index and one newer package for every image."""

from __future__ import annotations

import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

from aiohttp import web
from pysequoia import Tsk

from services.lab.apt import apt_repository, signing_key
from services.lab.debs import Deb, installed_layer
from services.lab.image import BuiltImage, build_image
from services.lab.layer import LayerBuilder

_SUITE = "bookworm-security"
_OLD, _NEW = "3.0.9-1", "3.0.15-1~deb12u1"
_LIBRARY = "usr/lib/x86_64-linux-gnu/libssl.so.3"
_OS_RELEASE = 'ID=debian\nVERSION_ID="12"\nVERSION_CODENAME=bookworm\n'
_AGE, _VALID = timedelta(days=4), timedelta(days=30)
"""No clock of ours jumps out of that."""


class Depot:
    """What the server has, and whether it is there."""

    def __init__(self, key: Tsk) -> None:
        self.key = key
        self.address = ""
        self.away = False
        """Whatever it sends ends in the middle."""
        self._files: dict[str, bytes] = {}

    def fixable(self, number: int, salt: str) -> BuiltImage:
        """Makes an image with an outdated package, and the repository that has the newer one, for it alone.

        Nothing of one fix is fetched already when the next begins.
        """
        newer = _package(_NEW, random.Random(salt).randbytes(40_000))
        files = apt_repository([newer], self.key, suite=_SUITE, valid=_VALID, age=_AGE)
        self._files |= {f"{number}/{path}": content for path, content in files.items()}
        layer = LayerBuilder().directory("etc").directory("etc/apt").directory("usr").directory("usr/lib")
        layer.file("etc/os-release", _OS_RELEASE)
        layer.file("etc/apt/sources.list", f"deb {self.address}/{number} {_SUITE} main\n")
        own = LayerBuilder().file("salt", salt).build()
        return build_image([installed_layer([_package(_OLD, b"old")], layer), own])

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Sends a file in two halves; who goes away between them breaks off."""
        content = self._files.get(request.match_info["path"])
        if content is None:
            return web.Response(status=404)
        response = web.StreamResponse(headers={"Content-Length": str(len(content))})
        await response.prepare(request)
        await response.write(content[: len(content) // 2])
        if self.away and request.transport is not None:
            request.transport.abort()
            return response
        await response.write(content[len(content) // 2 :])
        return response


@asynccontextmanager
async def serve_depot() -> AsyncIterator[Depot]:
    """Runs the server in this event loop for the time of the block, on 127.0.0.1 only."""
    depot = Depot(signing_key("chaos"))
    app = web.Application()
    app.router.add_get("/{path:.*}", depot.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        try:
            await web.SockSite(runner, listener).start()
            depot.address = f"http://127.0.0.1:{listener.getsockname()[1]}"
            yield depot
        finally:
            await runner.cleanup()


def trust(depot: Depot, data: Path) -> None:
    """Lays the key of the repositories where a fixer with this data folder looks for keys."""
    ring = data / "keyrings" / "debian"
    ring.mkdir(parents=True)
    (ring / "chaos.gpg").write_bytes(bytes(depot.key.extract_certificate()))


def _package(version: str, content: bytes) -> Deb:
    return Deb(name="libssl3", version=version, files={_LIBRARY: content}, source="openssl")
