"""A loopback registry for the demo and the tests. NOT FOR PRODUCTION: all in memory, nothing tuned or hardened.

It speaks the distribution-spec 1.1 (push in all its ways, pull, ranges, tags, catalogue, deletion), sends
notifications like the real registry, and commits the faults that tests plan.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping

from starlette.types import ASGIApp

from services.lab.beside import beside
from services.lab.content import Content
from services.lab.doors import BasicDoor, TokenDoor
from services.lab.events import Endpoint, Notifications
from services.lab.faults import Faults, FaultyApp
from services.lab.loopback import LoopbackServer, listen, serving
from services.lab.routes import Routes
from services.lab.tokens import LabTokenServer
from services.lab.watched import Seen, Watched

SERVER = "drydock-lab-registry (for demos and tests, not for production)"


class LabRegistry:
    """A running lab registry, as its owner sees it."""

    def __init__(
        self,
        address: str,
        server: LoopbackServer,
        faults: Faults,
        notifications: Notifications | None,
        seen: list[Seen],
    ) -> None:
        self.address = address
        """`127.0.0.1:PORT`."""
        self.faults = faults
        self.seen = seen
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
    *,
    users: Mapping[str, str] | None = None,
    tokens: LabTokenServer | None = None,
    notify: Endpoint | None = None,
    port: int = 0,
    content: Content | None = None,
) -> AsyncIterator[LabRegistry]:
    """Runs a registry in this event loop for the time of the block, on 127.0.0.1 only.

    Args:
        users: names and passwords; with None everyone may do everything.
        tokens: whose tokens are asked for, in place of names and passwords.
        notify: where events go; nowhere with None.
        port: a free one is taken for 0.
        content: what an earlier one had, to go on with.
    """
    listener, address = listen(port)
    faults = Faults()
    notifications = Notifications(notify, address) if notify else None
    app: ASGIApp = Routes(content or Content(), notifications).app()
    if users is not None:
        app = BasicDoor(app, users)
    if tokens is not None:
        app = TokenDoor(app, tokens)
    watched = Watched(FaultyApp(app, faults))
    server = LoopbackServer(watched, server_header=SERVER)
    faults.hang_up = server.hang_up
    registry = LabRegistry(address, server, faults, notifications, watched.seen)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(serving(server, listener))
        stack.callback(faults.closing.set)
        if notifications is not None:
            await stack.enter_async_context(beside(notifications.run(), name="lab-notifications"))
        yield registry
