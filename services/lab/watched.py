"""Requests as they arrived, kept for tests."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from starlette.types import ASGIApp, Receive, Scope, Send

_REMEMBERED = 10_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    """Names in lower case."""


class Watched:
    """An application that remembers its first ten thousand requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[Seen] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if len(self.seen) < _REMEMBERED:
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            query = scope["query_string"].decode("latin-1")
            self.seen.append(Seen(method=scope["method"], path=scope["path"], query=query, headers=headers))
        await self._app(scope, receive, send)
