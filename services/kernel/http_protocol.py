"""A connection of an HTTP server: uvicorn's by llhttp, with our own bounds on heads, idleness and their number."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Any, ClassVar

import httptools
import structlog
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

log = structlog.get_logger()

_FULL_BODY = (
    b'{"code":"TOO_MANY_CONNECTIONS","message":"The server has as many connections as it takes.",'
    b'"request_id":"","hint":"Come again in a moment, and use a connection for more than one request."}'
)
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 2\r\nconnection: close\r\n"
    b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(_FULL_BODY)
) + _FULL_BODY


class Connection(HttpToolsProtocol):
    """A connection of a caller's; see `limited`.

    uvicorn's own bound on connections answers in a shape that no caller knows, and without Retry-After.
    """

    most_connections: ClassVar[int]
    max_head_bytes: ClassVar[int]
    waiting: ClassVar[OrderedDict[Connection, None]]
    """Whose turn it is to bring a request, or the rest of one, the longest first. That needs no key: they make
    room for whoever comes."""
    _head_bytes: int = 0
    """Read since a body or a request ended: of a head that is not whole yet."""
    _refused: bool = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Takes the connection in, or sends it away."""
        # As uvicorn does it, but for sockets of Python's, which it makes to ask them for two addresses.
        self.connections.add(self)
        self.transport = transport
        self.flow = FlowControl(transport)
        self.server = _address(transport, "sockname")
        self.client = _address(transport, "peername")
        self.scheme = "https" if is_ssl(transport) else "http"
        if len(self.connections) > self.most_connections and not self._make_room():
            self._refused = True
            log.warning("http.connections_full", most=self.most_connections)
            transport.write(_FULL)
            transport.close()
            return
        self.waiting[self] = None
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forgets the connection."""
        self.waiting.pop(self, None)
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
        if self._head_bytes > self.max_head_bytes:
            self._refuse()

    def on_headers_complete(self) -> None:
        """Hands the request on; while it is worked on, nothing is waited for."""
        size = len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)
        if size > self.max_head_bytes:
            raise ValueError("the head is too long")
        self._unset_keepalive_if_required()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Takes a part of the body."""
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends a request; what follows is the next one's."""
        self._head_bytes = 0
        self.waiting.pop(self, None)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Ends an answer; unless another request is there already, it is the caller's turn."""
        if not self.pipeline:
            self.waiting[self] = None
        super().on_response_complete()

    def _make_room(self) -> bool:
        if not self.waiting:
            return False
        longest, _ = self.waiting.popitem(last=False)
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


def limited(*, most_connections: int, max_head_bytes: int) -> type[Connection]:
    """Returns the class of connections within bounds: uvicorn makes them itself, and passes nothing on.

    A head must be whole within the time for which idle connections are kept.
    """
    bounds: dict[str, Any] = {
        "most_connections": most_connections,
        "max_head_bytes": max_head_bytes,
        "waiting": OrderedDict(),
    }
    return type("LimitedConnection", (Connection,), bounds)


def _address(transport: asyncio.Transport, which: str) -> tuple[str, int] | None:
    said = transport.get_extra_info(which)
    return (str(said[0]), int(said[1])) if isinstance(said, tuple) else None
