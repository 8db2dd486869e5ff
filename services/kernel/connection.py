"""A connection of an HTTP server: uvicorn's by llhttp, with our own bounds on heads, idleness and their number.

Whoever keeps us waiting is let go, in time, or to make room: connections need no key.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict

import httptools
import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl
from uvicorn.server import ServerState

log = structlog.get_logger()

_FULL_BODY = (
    b'{"code":"TOO_MANY_CONNECTIONS","message":"The server has as many connections as it takes.",'
    b'"request_id":"","hint":"Come again in a moment, and use a connection for more than one request."}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_FULL_BODY)
) + _FULL_BODY


@dataclasses.dataclass(slots=True, kw_only=True)
class Crowd:
    """The connections of one server, and their bounds."""

    most_connections: int
    max_head_bytes: int
    waiting: OrderedDict[Connection, None] = dataclasses.field(default_factory=OrderedDict)
    """Whose turn it is to bring a request, or the rest of one, the longest first."""


class Connection(HttpToolsProtocol):
    """A connection of a caller's. A head must be whole within the time for which idle connections are kept.

    uvicorn's own bound on connections answers in a shape that no caller knows, without Retry-After, and counts who
    sends nothing among those who are served.
    """

    def __init__(self, config: Config, state: ServerState, crowd: Crowd) -> None:
        super().__init__(config, state, {})
        self._crowd = crowd
        self._head_bytes = 0  # read since a body or a request ended: of a head that is not whole yet
        self._refused = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Takes the connection in, or sends it away where as many as may be are being answered."""
        # As uvicorn does it, but for sockets of Python's, which it makes to ask them for two addresses.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server = _address(transport, "sockname")
        self.client = _address(transport, "peername")
        self.scheme = "https" if is_ssl(transport) else "http"
        if len(self.connections) > self._crowd.most_connections and not self._make_room():
            self._refused = True
            log.warning("http.connections_full", most=self._crowd.most_connections)
            transport.write(_FULL)
            transport.close()
            return
        self._crowd.waiting[self] = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self._crowd.waiting.pop(self, None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads on; a head that is too long is no request."""
        if self._refused:
            return
        self._head_bytes += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            return  # nobody here speaks anything else: what is asked for is answered in HTTP
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._head_bytes > self._crowd.max_head_bytes:
            self._refuse()

    def on_headers_complete(self) -> None:
        """Hands the request on; while it is worked on, nothing is waited for."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self._crowd.max_head_bytes:
            raise ValueError("the head is too long")
        self._unset_keepalive_if_required()
        # Its parser of URLs takes no more than 64 KiB; SDKs of ACR send whole requests in the query.
        self.url, _, query = self.url.partition(b"?")
        super().on_headers_complete()
        self.scope["query_string"] = query

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request; what follows is the next one's."""
        self._head_bytes = 0
        self._crowd.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Ends an answer; unless another request is there already, it is the caller's turn."""
        if not self.pipeline:
            self._crowd.waiting[self] = None
        super().on_response_complete()

    def _make_room(self) -> bool:
        """Lets the one go that has kept us waiting for longest; tells whether there was one."""
        if not self._crowd.waiting:
            return False
        longest, _ = self._crowd.waiting.popitem(last=False)
        self.connections.discard(longest)
        longest.transport.abort()
        return True

    def _await_head(self) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def _refuse(self) -> None:
        self._refused = True
        if not self.transport.is_closing():
            self.send_400_response("Invalid HTTP request received.")


def _address(transport: asyncio.Transport, which: str) -> tuple[str, int] | None:
    said = transport.get_extra_info(which)
    return (str(said[0]), int(said[1])) if isinstance(said, tuple) else None
