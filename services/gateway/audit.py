"""The audit log: who asked for which change, noted before it is tried, with how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import grpc
import structlog

from services.gateway.api import Act, AuditRecord, Role
from services.gateway.permissions import MINIMAL_ROLES
from services.gateway.store import GatewayStore
from services.kernel.clock import Clock
from services.kernel.db import Pool, is_outage
from services.kernel.errors import ServiceError
from services.kernel.model import page as pages
from services.kernel.model.page import Page, decode_token, encode_token
from services.kernel.rpc import call_context, request_id
from services.rules.api import RulesApi

log = structlog.get_logger()

if TYPE_CHECKING:
    Handler: TypeAlias = grpc.RpcMethodHandler[Any, Any]

_READS: Final = ("Get", "List", "Preview", "Wait", "Watch", "Evaluate")
AUDITED: Final = frozenset(
    method
    for method, least in MINIMAL_ROLES.items()
    if least in (Role.CLIENT, Role.OPERATOR, Role.ADMIN) and not method.rpartition("/")[2].startswith(_READS)
)
"""Methods that change something: a viewer may call none of them."""
_SUBJECT: Final = frozenset(
    {
        *("instance", "instance_id", "name", "rule_id", "rule_name", "engine", "authorize", "on", "overwrite"),
        *("target_id", "target", "key", "role", "topic", "address", "task_id", "scan_rule_id", "delivery_id"),
        *("repo_id", "namespace", "repository", "tag", "digest"),
        *("namespace_name", "repo_namespace_name", "repo_name", "chain_id"),
    }
)
"""Fields of requests that say what a call is about. Whatever could be a secret is not among them."""
_MOST_CHARACTERS: Final = 200
_END_SECONDS: Final = 2.0
_NEWEST: Final = (1 << 63) - 1


class AuditLog:
    """Notes acts, and lists them."""

    def __init__(self, pool: Pool, store: GatewayStore, rules: RulesApi, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._rules = rules
        self._clock = clock

    async def begin(self, act: Act) -> int:
        """Notes an act that is about to be tried, and returns the record's id."""
        async with self._pool.acquire() as conn:
            return await self._store.insert_audit(conn, act, self._clock.now())

    @asynccontextmanager
    async def noted(self, act: Act) -> AsyncIterator[None]:
        """Notes an act before the block that does it, and how the block ended."""
        record_id = await self.begin(act)
        try:
            yield
        except ServiceError as error:
            await self.end(record_id, error.reason)
            raise
        except Exception:
            await self.end(record_id, "INTERNAL")
            raise
        await self.end(record_id, "OK")

    async def end(self, record_id: int, outcome: str) -> None:
        """Notes how it ended. The act is done or refused by now: a database that is away only leaves it open."""
        try:
            async with asyncio.timeout(_END_SECONDS), self._pool.acquire() as conn:
                await self._store.end_audit(conn, record_id, outcome)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("audit.unended", record_id=record_id, outcome=outcome, error=type(error).__name__)

    async def list_records(
        self, *, instance: str = "", page_size: int = 0, page_token: str = ""
    ) -> Page[AuditRecord]:
        """Lists records, newest first; of an instance, whatever it was called by, id or name."""
        size = pages.page_size(page_size)
        position = decode_token(page_token, "audit", instance, length=1)
        before = int(position[0]) if position is not None and position[0].isdecimal() else _NEWEST
        names = await self._names(instance) if instance else ()
        async with self._pool.acquire() as conn:
            found = await self._store.list_audit(conn, min(before, _NEWEST), names, size + 1)
        items = found[:size]
        more = encode_token((str(items[-1].record_id),), "audit", instance) if len(found) > size else ""
        return Page(items=items, next_token=more)

    async def _names(self, instance: str) -> tuple[str, ...]:
        if "\0" in instance:
            return ("",)  # of none: no text of the database has it
        try:
            known = await self._rules.get_instance(instance)
        except ServiceError as error:
            if error.reason != "INSTANCE_NOT_EXIST":
                raise
            return (instance,)  # deleted since; what was done to it stays
        return (known.instance_id, known.name)


class AuditInterceptor(grpc.aio.ServerInterceptor):
    """Notes every audited call that was admitted. Stands behind the interceptor that knows who calls."""

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        """Returns the method, wrapped where it is audited."""
        handler = await continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or method not in AUDITED:
            return handler
        return grpc.unary_unary_rpc_method_handler(
            self.noted(method, handler.unary_unary),
            request_deserializer=handler.request_deserializer,
            response_serializer=handler.response_serializer,
        )

    def noted(self, method: str, behaviour: Any) -> Any:
        """Returns what answers a method, wrapped where the method is audited."""
        if method not in AUDITED:
            return behaviour

        async def call(request: Any, context: Any) -> Any:
            async with self._audit.noted(_act(method, request)):
                return await behaviour(request, context)

        return call


def _act(method: str, request: Any) -> Act:
    """Reads who asks for what: names alone, from the request and the message that it carries."""
    service, _, name = method.rpartition("/")
    said = _named(request)
    for field, value in request.ListFields():
        if field.message_type is not None and not field.is_repeated:
            said = {**_named(value), **said}
            if field.name == "update_mask":
                said["fields"] = ",".join(value.paths)[:_MOST_CHARACTERS]
    instance = said.pop("instance", "") or said.pop("instance_id", "")
    if not instance and name == "CreateInstance":
        instance = said.get("name", "")
    said.pop("instance_id", None)
    return Act(
        actor=call_context.actor(),
        action=f"{service.rpartition('.')[2]}/{name}",
        instance=instance,
        subject=MappingProxyType(said),
        request_id=request_id.current(),
    )


def _named(message: Any) -> dict[str, str]:
    """Returns the fields of a message that name something; texts, numbers and words alone."""
    found = {}
    for field, value in message.ListFields():
        if field.name in _SUBJECT and field.message_type is None and not field.is_repeated:
            word = field.enum_type.values_by_number.get(value) if field.enum_type is not None else None
            text = word.name if word is not None else str(value)
            found[field.name] = text.replace("\0", "")[:_MOST_CHARACTERS]
    return found
