"""How long the body of a request may be, whatever route reads it."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.problem import Refusal


class BodyLimit:
    """Refuses longer bodies: at the first read when their length is told, else as soon as they are too long."""

    def __init__(self, app: ASGIApp, *, most: int) -> None:
        self._app = app
        self._most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands a request on, with its body bounded."""
        await self._app(scope, self._bounded(scope, receive), send)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        told = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        left = self._most - (int(told[:20]) if told.isdigit() else 0)
        counted = 0

        async def bounded() -> Message:
            nonlocal counted
            if left < 0:
                raise self._too_large()
            message = await receive()
            counted += len(message.get("body", b""))
            if counted > self._most:
                raise self._too_large()
            return message

        return bounded

    def _too_large(self) -> Refusal:
        return Refusal(413, "REQUEST_TOO_LARGE", f"A request may have {self._most} bytes.")
