"""The client's side: a channel that sends its token, keeps a deadline, and raises our own errors."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc

from services.kernel import trace
from services.kernel.rpc.server import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES
from services.kernel.rpc.status import from_rpc_error

_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    # A server of ours is near: a proxy from the environment would swallow calls to loopback addresses.
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


@asynccontextmanager
async def open_channel(
    address: str,
    *,
    token: str = "",
    deadline_seconds: float = 30.0,
    credentials: grpc.ChannelCredentials | None = None,
) -> AsyncIterator[grpc.aio.Channel]:
    """Opens a channel to `HOST:PORT` and closes it at exit; connecting happens with the first call.

    Calls that name no timeout of their own get `deadline_seconds`; with `credentials` it speaks TLS.
    """
    interceptors = (_Dress(token, deadline_seconds),)
    if credentials is None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS, interceptors=interceptors)
    else:
        channel = grpc.aio.secure_channel(address, credentials, options=_OPTIONS, interceptors=interceptors)
    async with channel:
        yield channel


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turns what grpc raises inside into the ServiceError that the server meant."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


class _Dress(grpc.aio.UnaryUnaryClientInterceptor):
    """Puts on every call what it carries. Methods with streams are not called from here: peers read them."""

    def __init__(self, token: str, deadline_seconds: float) -> None:
        self._authorization = f"Bearer {token}" if token else ""
        self._deadline_seconds = deadline_seconds

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        details = client_call_details
        metadata = grpc.aio.Metadata(*(details.metadata or ()))
        if self._authorization and metadata.get("authorization") is None:
            metadata.add("authorization", self._authorization)
        for header, value in trace.headers_after(trace.current()).items():
            if metadata.get(header) is None:
                metadata.add(header, value)
        timeout = self._deadline_seconds if details.timeout is None else details.timeout
        dressed = grpc.aio.ClientCallDetails(
            details.method, timeout, metadata, details.credentials, details.wait_for_ready
        )
        return await continuation(dressed, request)
