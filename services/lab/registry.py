"""A loopback registry for the demo and the tests. NOT FOR PRODUCTION: all in memory, nothing tuned or hardened.

It speaks the distribution-spec 1.1 (push in all its ways, pull, ranges, tags, catalogue, deletion), sends
notifications like the real registry, and commits the faults that tests plan.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hmac
from collections.abc import AsyncIterator, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.lab.beside import beside
from services.lab.content import Content
from services.lab.events import Endpoint, Notifications
from services.lab.faults import Faults, FaultyApp
from services.lab.loopback import LoopbackServer, listen, serving
from services.lab.routes import Refusal, Routes

SERVER = "drydock-lab-registry (for demos and tests, not for production)"
_REMEMBERED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""


class LabRegistry:
    """A running lab registry, as its owner sees it."""

    def __init__(
        self, address: str, server: LoopbackServer, faults: Faults, notifications: Notifications | None
    ) -> None:
        self.address = address
        """`127.0.0.1:PORT`."""
        self.faults = faults
        self.seen: list[Seen] = []
        """Requests in the order of arrival, the first ten thousand."""
        self._server = server
        self._notifications = notifications

    @property
    def connections(self) -> int:
        """How many clients are connected at present."""
        return self._server.connections

    async def notified(self) -> None:
        """Waits until every event so far is delivered; returns at once when none are sent."""
        if self._notifications is not None:
            await self._notifications.drained()


@contextlib.asynccontextmanager
async def serve_registry(
    *, users: Mapping[str, str] | None = None, notify: Endpoint | None = None, port: int = 0
) -> AsyncIterator[LabRegistry]:
    """Runs a registry in this event loop for the time of the block, on 127.0.0.1 only.

    Args:
        users: names and passwords; with None everyone may do everything.
        notify: where events go; nowhere with None.
        port: a free one is taken for 0.
    """
    listener, address = listen(port)
    faults = Faults()
    notifications = Notifications(notify, address) if notify else None
    app: ASGIApp = Routes(Content(), notifications).app()
    if users is not None:
        app = _BasicAuth(app, users)
    watched = _Watched(FaultyApp(app, faults))
    server = LoopbackServer(watched, server_header=SERVER)
    registry = LabRegistry(address, server, faults, notifications)
    watched.seen = registry.seen
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(server, listener))
        stack.callback(faults.closing.set)
        if notifications is not None:
            await stack.enter_async_context(beside(notifications.run(), name="lab-notifications"))
        yield registry


class _Watched:
    """Remembers the requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[Seen] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if len(self.seen) < _REMEMBERED:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            self.seen.append(Seen(method=scope["method"], path=scope["path"], headers=headers))
        await self._app(scope, receive, send)


class _BasicAuth:
    """Lets known users in (RFC 7617)."""

    def __init__(self, app: ASGIApp, users: Mapping[str, str]) -> None:
        self._app = app
        self._known = {
            b"Basic " + base64.b64encode(f"{name}:{password}".encode()): name for name, password in users.items()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        for expected, name in self._known.items():
            if hmac.compare_digest(given, expected):
                await self._app({**scope, "lab_user": name}, receive, send)
                return
        response: Response = Refusal(401, "UNAUTHORIZED", "authentication required").response
        response.headers["WWW-Authenticate"] = 'Basic realm="lab"'
        await response(scope, receive, send)
