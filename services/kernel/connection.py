"""A connection of the HTTP server: whoever asks for nothing is let go, in time, or to make room."""

from __future__ import annotations

import asyncio
from typing import Final

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle
from uvicorn.server import ServerState

_HEAD_SECONDS: Final = 10.0


class Connection(H11Protocol):
    """uvicorn's connection, with a deadline for the head of a request and room for those who ask.

    uvicorn waits for ever for a head, and counts who keeps one back, or a body, among those who are served: a
    thousand such connections, which need no key, would have everybody else answered 503.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, object],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._idle_since = self.loop.time()
        self._head_due: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is None or cycle.response_complete

    @property
    def keeps_waiting(self) -> bool:
        """Whether it is the caller's turn: there is no request, or not all of its body."""
        return self.idle or self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Lets the one go that keeps us waiting for longest, where there are too many; silent ones first."""
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency - 1:
            self._make_room()
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Reads on; the deadline of a head begins with its first byte, and ends with its last."""
        if self.idle and self._head_due is None:
            self._expect_head()
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._forget_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the deadline."""
        self._forget_head()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Counts as idle from here on."""
        self._idle_since = self.loop.time()
        super().on_response_complete()

    def _make_room(self) -> None:
        waiting = [each for each in self.connections if isinstance(each, Connection) and each.keeps_waiting]
        if waiting:
            longest = min(waiting, key=lambda each: (not each.idle, each._idle_since))
            self.connections.discard(longest)
            longest.transport.abort()

    def _expect_head(self) -> None:
        self._head_due = self.loop.call_later(_HEAD_SECONDS, self.timeout_keep_alive_handler)

    def _forget_head(self) -> None:
        if self._head_due is not None:
            self._head_due.cancel()
            self._head_due = None
