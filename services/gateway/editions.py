"""Which instances may be asked about scans or heard from: those there are, of the Enterprise Edition."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
import structlog

from services.kernel.clock import Clock
from services.kernel.db import is_outage
from services.kernel.errors import Kind, ServiceError
from services.kernel.model.edition import edition_not_supported
from services.rules.api import Edition, Instance, RulesApi

log = structlog.get_logger()

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]

_TTL_SECONDS = 5.0
_MAX_REMEMBERED = 1024
_ASK_SECONDS = 2.0
_SILENT = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
_GUARDED: Final = "/drydock.scanner.v1.ScannerService/"
_TAGS: Final = _GUARDED + "ListTags"


class Editions:
    """Looks instances up, and remembers Enterprise ones for a moment: a status call stays one indexed read.

    What is deleted or made personal counts as it was for 5 seconds at most.
    """

    def __init__(self, rules: RulesApi, clock: Clock) -> None:
        self._rules = rules
        self._clock = clock
        self._known: OrderedDict[str, tuple[Instance, float]] = OrderedDict()

    async def enterprise(self, instance_id: str) -> Instance:
        """Returns an instance of the Enterprise Edition.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED.
        """
        now = self._clock.monotonic()
        known = self._known.get(instance_id)
        if known is not None and now < known[1]:
            return known[0]
        instance = await self._rules.get_instance(instance_id)
        if instance.edition is not Edition.ENTERPRISE:
            raise edition_not_supported(instance.name)
        self._known[instance_id] = (instance, now + _TTL_SECONDS)
        self._known.move_to_end(instance_id)
        while len(self._known) > _MAX_REMEMBERED:
            self._known.popitem(last=False)
        return instance


class EditionInterceptor(grpc.aio.ServerInterceptor):
    """Refuses calls of ScannerService about images of a personal instance, whatever was scanned of it before.

    The scanner answers from its own rows and asks nobody. While rules cannot be asked, nobody is refused: results
    stay readable when another service is away.
    """

    def __init__(self, editions: Editions, clock: Clock) -> None:
        self._editions = editions
        self._clock = clock
        self._silent_until = float("-inf")

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Returns the method, guarded where it may be about an image."""
        handler = await continuation(handler_call_details)
        guarded = handler_call_details.method.startswith(_GUARDED)
        if handler is None or not guarded:
            return handler
        codecs: dict[str, Any] = {
            "request_deserializer": handler.request_deserializer,
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_stream is not None:
            return grpc.unary_stream_rpc_method_handler(self._checked_stream(handler.unary_stream), **codecs)
        about_tags = handler_call_details.method == _TAGS
        return grpc.unary_unary_rpc_method_handler(
            self._checked(handler.unary_unary, about_tags=about_tags), **codecs
        )

    def _checked(self, behaviour: Any, *, about_tags: bool) -> Any:
        async def call(request: Any, context: Any) -> Any:
            await self._check(request if about_tags else getattr(request, "image", None))
            return await behaviour(request, context)

        return call

    def _checked_stream(self, behaviour: Any) -> Any:
        async def call(request: Any, context: Any) -> AsyncIterator[Any]:
            await self._check(getattr(request, "image", None))
            async for answer in behaviour(request, context):
                yield answer

        return call

    async def _check(self, subject: Any) -> None:
        if subject is None or not subject.instance or self._clock.monotonic() < self._silent_until:
            return
        try:
            async with asyncio.timeout(_ASK_SECONDS):
                await self._editions.enterprise(subject.instance)
        except ServiceError as error:
            if error.kind not in _SILENT:
                raise
            self._pass(error.reason)
        except Exception as error:
            if not is_outage(error):
                raise
            self._pass(type(error).__name__)

    def _pass(self, why: str) -> None:
        log.warning("editions.unasked", why=why)
        self._silent_until = self._clock.monotonic() + _TTL_SECONDS
