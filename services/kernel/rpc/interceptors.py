"""The one interceptor of every server: request id, permission, deadline, errors, metrics."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, cast

import grpc
import structlog
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry, Histogram

from services.kernel import trace
from services.kernel.db import is_outage, unavailable
from services.kernel.errors import ServiceError, invalid
from services.kernel.ids import Ids
from services.kernel.rpc import call_context, request_id
from services.kernel.rpc.failures import deadline_exceeded, internal
from services.kernel.rpc.status import CODES, to_message, to_trailers

log = structlog.get_logger()

if TYPE_CHECKING:
    # What grpc hands to interceptors is generic over every message of every method: there is no narrower type.
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]
    Context: TypeAlias = grpc.aio.ServicerContext[Any, Any]
    Parse: TypeAlias = Callable[[bytes], Any] | None

Metadata = Iterable[tuple[str, str | bytes]]
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: of calls as they are answered, and as peers see them."""

_MARGIN_SECONDS = 0.02
"""So much before the caller's deadline we give up ourselves: the caller then gets our words, not grpc's."""
_STREAM_SECONDS = 3600.0


class Guard(Protocol):
    """Decides who may call what."""

    async def admit(self, method: str, metadata: Metadata) -> None:
        """Returns when the call may go on.

        Raises:
            ServiceError: of kind UNAUTHENTICATED or PERMISSION_DENIED.
        """
        ...


class RpcMetrics:
    """How long calls take and how they end; methods and codes are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "drydock_rpc_duration_seconds",
            "Duration of answered calls.",
            ("method", "code"),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )

    def answered(self, method: str, code: str, seconds: float) -> None:
        """Counts one call."""
        self._durations.labels(method, code).observe(seconds)


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps each method once, however often it is called. The outermost: those behind it see parsed requests."""

    def __init__(
        self,
        *,
        guard: Guard,
        ids: Ids,
        metrics: RpcMetrics,
        default_deadline_seconds: float = 30.0,
    ) -> None:
        """The default deadline holds for callers that set none; for a whole stream it is an hour."""
        self._guard = guard
        self._ids = ids
        self._metrics = metrics
        self._default = default_deadline_seconds
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Returns the wrapped method; None where the server has none of that name."""
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = await continuation(handler_call_details)
            if handler is None:
                return None
            # Only methods that exist come here: the table cannot be made to grow.
            wrapped = self._wrapped[method] = self._wrap(method, handler)
        return wrapped

    def _wrap(self, method: str, handler: Handler) -> Handler:
        # A single request is parsed by us, once its caller is admitted: what grpc itself cannot parse it answers
        # UNKNOWN, with the exception's text, to whoever has no key.
        parse = handler.request_deserializer
        answers: Mapping[str, Any] = {"response_serializer": handler.response_serializer}
        both: Mapping[str, Any] = {**answers, "request_deserializer": parse}
        if handler.unary_unary is not None:
            return grpc.unary_unary_rpc_method_handler(self._single(method, handler.unary_unary, parse), **answers)
        if handler.stream_unary is not None:
            return grpc.stream_unary_rpc_method_handler(self._single(method, handler.stream_unary, None), **both)
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(method, handler.unary_stream, parse), **answers
            )
        return grpc.stream_stream_rpc_method_handler(self._stream(method, handler.stream_stream, None), **both)

    def _single(self, method: str, behaviour: Any, parse: Parse) -> Any:
        async def call(request: Any, context: Context) -> Any:
            began = time.perf_counter()
            metadata = context.invocation_metadata() or ()
            limit = _limit(context, self._default)
            self._enter(method, metadata, context, limit)
            deadline = asyncio.timeout(limit)
            try:
                async with deadline:
                    await self._guard.admit(method, metadata)
                    answer = await behaviour(_parsed(request, parse), context)
            except grpc.aio.AbortError:
                raise  # only the health service, which is not ours, answers its errors by itself
            except NotImplementedError:  # so does what was generated from a proto and never written, there
                await context.abort(grpc.StatusCode.UNIMPLEMENTED, "This server does not offer the call.")
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status of ours
                await self._fail(method, began, context, _judge(error, method, deadline.expired()))
            self._metrics.answered(method, "OK", time.perf_counter() - began)
            return answer

        return call

    def _stream(self, method: str, behaviour: Any, parse: Parse) -> Any:
        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            began = time.perf_counter()
            metadata = context.invocation_metadata() or ()
            limit = _limit(context, _STREAM_SECONDS)
            self._enter(method, metadata, context, limit)
            deadline = asyncio.timeout(limit)
            try:
                async with deadline:
                    await self._guard.admit(method, metadata)
                    answers = behaviour(_parsed(request, parse), context)
                    if hasattr(answers, "__aiter__"):
                        async for answer in answers:
                            yield answer
                    else:  # the health service writes to the context itself
                        await answers
            except grpc.aio.AbortError:
                raise  # only the health service, which is not ours, answers its errors by itself
            except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status of ours
                await self._fail(method, began, context, _judge(error, method, deadline.expired()))
            self._metrics.answered(method, "OK", time.perf_counter() - began)

        return call

    def _enter(self, method: str, metadata: Metadata, context: Context, seconds: float) -> None:
        call_context.enter(seconds)
        offered = next((value for key, value in metadata if key == request_id.HEADER), "")
        chosen = request_id.accept(offered) if isinstance(offered, str) else ""
        request_id.bind(chosen or self._ids.uuid())
        carried = next((value for key, value in metadata if key == trace.HEADER), "")
        trace.begin(carried if isinstance(carried, str) else "")
        structlog.contextvars.bind_contextvars(method=method)
        context.set_trailing_metadata(((request_id.HEADER, request_id.current()),))

    async def _fail(self, method: str, began: float, context: Context, error: ServiceError) -> NoReturn:
        code = CODES[error.kind]
        self._metrics.answered(method, code.name, time.perf_counter() - began)
        await context.abort(code, to_message(error), to_trailers(error, request_id.current()))


def _parsed(request: Any, parse: Parse) -> Any:
    if parse is None:
        return request
    try:
        return parse(request)
    except DecodeError as error:
        raise invalid(
            "REQUEST_MALFORMED",
            "The request is not the message that this call takes.",
            hint="Check that server and client were generated from the same protos.",
        ) from error


def _limit(context: Context, default: float) -> float:
    remaining = cast("float | None", context.time_remaining())  # the stubs forget that there may be none
    return default if remaining is None else max(remaining - _MARGIN_SECONDS, 0.0)


def _judge(error: Exception, method: str, expired: bool) -> ServiceError:
    """Turns what a handler raised into what its caller may see, and logs what was not foreseen."""
    if isinstance(error, ServiceError):
        return error
    if expired:
        return deadline_exceeded()
    if is_outage(error):
        log.warning("rpc.database_away", method=method, exc_info=error)
        return unavailable()
    log.error("rpc.failed", method=method, exc_info=error)
    return internal(request_id.current())
