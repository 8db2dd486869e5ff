"""Faults that the lab registry commits on request, so that tests can watch what its clients make of them."""

from __future__ import annotations

import asyncio
import dataclasses
import fnmatch
from collections.abc import Callable, Iterable, Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Answers with a status of its own."""

    code: int
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    body: bytes = b""


@dataclasses.dataclass(frozen=True, slots=True)
class Delay:
    """Answers correctly, but only after that many seconds."""

    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class CutOff:
    """Closes the connection after that many bytes of the body."""

    after_bytes: int


@dataclasses.dataclass(frozen=True, slots=True)
class Disconnect:
    """Closes the connection instead of answering."""


@dataclasses.dataclass(frozen=True, slots=True)
class WrongBytes:
    """Delivers a body of the right length with its first byte altered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Redirect:
    """Sends the client elsewhere; `{path}` stands for the path of the request."""

    location: str
    code: int = 307


@dataclasses.dataclass(frozen=True, slots=True)
class Trickle:
    """Delivers the body in drops, with a pause before each."""

    drop_bytes: int
    pause_seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class WithoutHeader:
    """Answers correctly, but leaves a header out."""

    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class WithHeader:
    """Answers correctly, but with a header replaced."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True)
class IgnoreRange:
    """Answers a range request with the whole."""


Fault = (
    Status
    | Delay
    | CutOff
    | Disconnect
    | WrongBytes
    | Redirect
    | Trickle
    | WithoutHeader
    | WithHeader
    | IgnoreRange
)


@dataclasses.dataclass(slots=True)
class _Plan:
    pattern: str
    fault: Fault
    methods: frozenset[str]
    left: int | None


class FaultCommitted(Exception):
    """Ends a response in the middle; the server closes the connection for it."""


class Faults:
    """The faults still to be committed; the first plan that fits a request is used."""

    def __init__(self) -> None:
        self._plans: list[_Plan] = []
        self.closing = asyncio.Event()
        """Set when the registry stops: whoever dawdles on purpose stops dawdling."""
        self.hang_up: Callable[[object], None] = _cannot_hang_up
        """Closes the connection of a client, named as in its scope; set by whoever runs the server."""

    def add(
        self, pattern: str, fault: Fault, *, times: int | None = None, methods: Iterable[str] = ("GET", "HEAD")
    ) -> None:
        """Plans a fault.

        Args:
            pattern: of the path, with `*` for anything, as in `/v2/*/blobs/*`.
            fault: what to do.
            times: how often; None for ever.
            methods: requests that it may befall.
        """
        self._plans.append(_Plan(pattern, fault, frozenset(methods), times))

    def clear(self) -> None:
        """Drops all plans."""
        self._plans.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """Returns the fault that befalls this request, and counts it."""
        for plan in self._plans:
            if plan.left != 0 and method in plan.methods and fnmatch.fnmatchcase(path, plan.pattern):
                if plan.left is not None:
                    plan.left -= 1
                return plan.fault
        return None

    async def pause(self, seconds: float) -> None:
        """Waits, but not beyond the end of the registry."""
        try:
            await asyncio.wait_for(self.closing.wait(), seconds)
        except TimeoutError:
            return


class FaultyApp:
    """An application whose answers go through the faults."""

    def __init__(self, app: ASGIApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        fault = self._faults.take(scope["method"], scope["path"])
        match fault:
            case Status(code=code, headers=headers, body=body):
                await _answer(send, code, headers, body)
            case Redirect(location=location, code=code):
                await _answer(send, code, {"Location": location.replace("{path}", scope["path"])}, b"")
            case Disconnect():
                self._faults.hang_up(scope["client"])
                while (await receive())["type"] != "http.disconnect":
                    pass
            case Delay(seconds=seconds):
                await self._faults.pause(seconds)
                await self._app(scope, receive, send)
            case IgnoreRange():
                headers_kept = [pair for pair in scope["headers"] if pair[0] != b"range"]
                await self._app({**scope, "headers": headers_kept}, receive, send)
            case None:
                await self._app(scope, receive, send)
            case _:
                await self._app(scope, receive, _Spoiled(fault, self._faults, send))


def _cannot_hang_up(_client: object) -> None:
    raise NotImplementedError("these faults are committed by no server")


async def _answer(send: Send, code: int, headers: Mapping[str, str], body: bytes) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": code, "headers": raw})
    await send({"type": "http.response.body", "body": body})


class _Spoiled:
    """A `send` that spoils what passes through it."""

    def __init__(
        self, fault: CutOff | WrongBytes | Trickle | WithoutHeader | WithHeader, faults: Faults, send: Send
    ) -> None:
        self._fault = fault
        self._faults = faults
        self._send = send
        self._sent = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            await self._send({**message, "headers": self._headers(list(message["headers"]))})
        else:
            await self._body(message.get("body", b""), message)

    def _headers(self, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        match self._fault:
            case WithoutHeader(name=name):
                return [pair for pair in headers if pair[0].lower() != name.lower().encode()]
            case WithHeader(name=name, value=value):
                kept = [pair for pair in headers if pair[0].lower() != name.lower().encode()]
                return [*kept, (name.lower().encode(), value.encode())]
            case _:
                return headers

    async def _body(self, body: bytes, message: Message) -> None:
        match self._fault:
            case WrongBytes() if body and not self._sent:
                await self._send({**message, "body": bytes([body[0] ^ 0xFF]) + body[1:]})
            case CutOff(after_bytes=limit) if self._sent + len(body) >= limit:
                await self._send({**message, "body": body[: limit - self._sent], "more_body": True})
                raise FaultCommitted("cut off")
            case Trickle(drop_bytes=drop, pause_seconds=pause):
                for start in range(0, len(body), drop):
                    await self._faults.pause(pause)
                    if self._faults.closing.is_set():
                        raise FaultCommitted("the registry stops in mid-trickle")
                    await self._send({**message, "body": body[start : start + drop], "more_body": True})
                await self._send({**message, "body": b""})
            case _:
                await self._send(message)
        self._sent += len(body)
