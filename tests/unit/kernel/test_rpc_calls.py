"""Calls through a real server and a real channel: ids, deadlines, errors, the ordered end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1 import admin_service_pb2_grpc as rpc
from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.ids import RandomIds
from services.kernel.rpc.client import open_channel, translated_errors
from services.kernel.rpc.interceptors import CallInterceptor, Guard, Metadata, RpcMetrics
from services.kernel.rpc.request_id import current
from services.kernel.rpc.server import RunningServer, Service, serve
from tests.builders.guards import Anyone

NAME = "drydock.gateway.v1.AdminService"
Behaviour = Callable[[], Awaitable[pb.ListKeysResponse]]


async def nothing() -> pb.ListKeysResponse:
    return pb.ListKeysResponse()


class Answers(rpc.AdminServiceServicer):
    """ListKeys does what the test says; the others are not called."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def ListKeys(self, request: pb.ListKeysRequest, context: object) -> pb.ListKeysResponse:
        return await self._behaviour()

    async def CreateKey(self, request: pb.CreateKeyRequest, context: object) -> pb.CreateKeyResponse:
        raise AssertionError("not called")

    async def RotateKey(self, request: pb.RotateKeyRequest, context: object) -> pb.RotateKeyResponse:
        raise AssertionError("not called")

    async def RevokeKey(self, request: pb.RevokeKeyRequest, context: object) -> pb.RevokeKeyResponse:
        raise AssertionError("not called")

    async def ListDeadLetters(
        self, request: pb.ListDeadLettersRequest, context: object
    ) -> pb.ListDeadLettersResponse:
        raise AssertionError("not called")

    async def GetDeadLetter(self, request: pb.GetDeadLetterRequest, context: object) -> pb.GetDeadLetterResponse:
        raise AssertionError("not called")

    async def ReplayDeadLetter(
        self, request: pb.ReplayDeadLetterRequest, context: object
    ) -> pb.ReplayDeadLetterResponse:
        raise AssertionError("not called")

    async def ListAuditRecords(
        self, request: pb.ListAuditRecordsRequest, context: object
    ) -> pb.ListAuditRecordsResponse:
        raise AssertionError("not called")


@asynccontextmanager
async def serving(
    behaviour: Behaviour = nothing,
    *,
    guard: Guard | None = None,
    deadline_seconds: float = 30.0,
    grace_seconds: float = 5.0,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[RunningServer]:
    interceptor = CallInterceptor(
        guard=guard or Anyone(),
        ids=RandomIds(),
        metrics=RpcMetrics(registry or CollectorRegistry()),
        default_deadline_seconds=deadline_seconds,
    )
    service = Service(
        name=NAME, add=lambda server: rpc.add_AdminServiceServicer_to_server(Answers(behaviour), server)
    )
    async with serve("127.0.0.1:0", [service], interceptors=[interceptor], grace_seconds=grace_seconds) as server:
        yield server


async def list_keys(server: RunningServer, timeout: float | None = None) -> pb.ListKeysResponse:
    async with open_channel(server.address) as channel:
        with translated_errors():
            return await rpc.AdminServiceStub(channel).ListKeys(pb.ListKeysRequest(), timeout=timeout)


def health(channel: grpc.aio.Channel) -> Any:
    """The stubs of the health package name no methods."""
    return health_pb2_grpc.HealthStub(channel)


async def failure_of(behaviour: Behaviour) -> ServiceError:
    async with serving(behaviour) as server:
        with pytest.raises(ServiceError) as caught:
            await list_keys(server)
    return caught.value


async def test_a_service_error_reaches_the_caller_as_it_stands() -> None:
    async def refuse() -> pb.ListKeysResponse:
        raise invalid("INVALID_PAGE_SIZE", "A page cannot have a negative size.", field="page_size", hint="Ask.")

    error = await failure_of(refuse)

    assert (error.kind, error.reason, error.field, error.hint) == (
        Kind.INVALID_ARGUMENT,
        "INVALID_PAGE_SIZE",
        "page_size",
        "Ask.",
    )


async def test_no_exception_text_leaks_and_the_log_has_it_once() -> None:
    async def break_down() -> pb.ListKeysResponse:
        raise RuntimeError("password=hunter2")

    with capture_logs() as logs:
        error = await failure_of(break_down)

    assert (error.kind, error.reason) == (Kind.INTERNAL, "INTERNAL")
    assert "hunter2" not in error.sentence() + str(error.metadata)
    assert error.metadata["request_id"] in error.hint
    [entry] = [entry for entry in logs if entry["log_level"] == "error"]
    assert entry["event"] == "rpc.failed"
    assert isinstance(entry["exc_info"], RuntimeError)


@pytest.mark.parametrize(
    "outage", [asyncpg.InterfaceError("x"), ConnectionRefusedError("x"), asyncpg.ConnectionDoesNotExistError("x")]
)
async def test_a_lost_database_is_unavailable_and_worth_a_retry(outage: Exception) -> None:
    async def lose() -> pb.ListKeysResponse:
        raise outage

    error = await failure_of(lose)

    assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert error.retry_after


async def test_the_server_ends_a_call_without_deadline_at_its_own() -> None:
    async def hang() -> pb.ListKeysResponse:
        await asyncio.Event().wait()
        return pb.ListKeysResponse()

    async with (
        serving(hang, deadline_seconds=0.05) as server,
        grpc.aio.insecure_channel(server.address) as channel,
    ):
        with pytest.raises(ServiceError) as caught, translated_errors():
            await rpc.AdminServiceStub(channel).ListKeys(pb.ListKeysRequest())

    assert (caught.value.kind, caught.value.message) == (
        Kind.DEADLINE_EXCEEDED,
        "The call took longer than it may.",
    )


async def test_the_callers_deadline_cancels_the_handler() -> None:
    cancelled = asyncio.Event()

    async def hang() -> pb.ListKeysResponse:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return pb.ListKeysResponse()

    async with serving(hang) as server:
        with pytest.raises(ServiceError) as caught:
            await list_keys(server, timeout=0.1)
        async with asyncio.timeout(5):
            await cancelled.wait()

    assert caught.value.kind is Kind.DEADLINE_EXCEEDED


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ("6DD5E0A1-4C2C-4E50-9C5B-0D6D6F1A0A55", True),
        ("6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55", True),
        ("not-a-uuid", False),
        ("6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55 x", False),
    ],
)
async def test_the_request_id_is_the_callers_when_it_is_a_uuid(offered: str, kept: bool) -> None:
    seen: list[tuple[str, str]] = []

    async def look() -> pb.ListKeysResponse:
        seen.append((current(), structlog.contextvars.get_contextvars()["request_id"]))
        return pb.ListKeysResponse()

    async with serving(look) as server, open_channel(server.address) as channel:
        call = rpc.AdminServiceStub(channel).ListKeys(pb.ListKeysRequest(), metadata=(("x-request-id", offered),))
        await call
        returned = dict(await call.trailing_metadata())["x-request-id"]

    assert seen == [(returned, returned)]
    assert (returned == offered.lower()) is kept


async def test_the_guard_is_asked_before_the_handler_runs() -> None:
    class Nobody:
        async def admit(self, method: str, metadata: object) -> None:
            raise ServiceError(Kind.PERMISSION_DENIED, "NO", f"Not {method}.")

    called: list[int] = []

    async def count() -> pb.ListKeysResponse:
        called.append(1)
        return pb.ListKeysResponse()

    async with serving(count, guard=Nobody()) as server:
        with pytest.raises(ServiceError) as caught:
            await list_keys(server)

    assert caught.value.message == f"Not /{NAME}/ListKeys."
    assert not called


async def sent_as_it_is(address: str, method: str, request: bytes) -> grpc.aio.AioRpcError:
    """How a call with these bytes is refused."""
    async with grpc.aio.insecure_channel(address) as channel:
        kind = channel.unary_stream if method.endswith("Watch") else channel.unary_unary
        call: Any = kind(method, request_serializer=bytes)(request, timeout=5)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await (call.read() if method.endswith("Watch") else call)
    return caught.value


@pytest.mark.parametrize(
    "method", [f"/{NAME}/ListKeys", "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"]
)
async def test_bytes_that_are_no_message_are_refused_in_our_words(method: str) -> None:
    with capture_logs() as logs:
        async with serving() as server:
            error = await sent_as_it_is(server.address, method, b"\xff\xff")

    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "DecodeError" not in str(error)
    assert not [entry for entry in logs if entry["log_level"] == "error"]


async def test_nothing_is_parsed_of_a_caller_who_is_refused() -> None:
    class Nobody:
        async def admit(self, method: str, metadata: Metadata) -> None:
            raise ServiceError(Kind.UNAUTHENTICATED, "TOKEN_MISSING", "No.")

    async with serving(guard=Nobody()) as server:
        error = await sent_as_it_is(server.address, f"/{NAME}/ListKeys", b"\xff\xff")

    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_health_answers_and_watching_ends_with_the_server() -> None:
    states = []
    async with serving(grace_seconds=1.0) as server:
        channel = grpc.aio.insecure_channel(server.address)
        stub = health(channel)
        answer = await stub.Check(health_pb2.HealthCheckRequest(service=NAME))
        watch = stub.Watch(health_pb2.HealthCheckRequest(service=NAME))
        states.append((await watch.read()).status)
    states.append((await watch.read()).status)
    watch.cancel()
    await channel.close()

    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    assert states == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


async def test_an_unknown_health_service_is_not_found() -> None:
    async with serving() as server, grpc.aio.insecure_channel(server.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await health(channel).Check(health_pb2.HealthCheckRequest(service="none"))

    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_call_under_way_is_answered_while_the_server_stops() -> None:
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> pb.ListKeysResponse:
        began.set()
        await go_on.wait()
        return pb.ListKeysResponse(next_page_token="done")

    async with asyncio.TaskGroup() as tasks, serving(slow) as server:
        channel = grpc.aio.insecure_channel(server.address)
        watch = health(channel).Watch(health_pb2.HealthCheckRequest(service=NAME))
        await watch.read()
        call = tasks.create_task(list_keys(server))
        await began.wait()
        tasks.create_task(release_after(watch, go_on))

    assert call.result().next_page_token == "done"
    watch.cancel()
    await channel.close()


async def release_after(watch: Any, go_on: asyncio.Event) -> None:
    answer = await watch.read()
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING
    go_on.set()


async def test_a_port_that_is_taken_is_a_clear_error() -> None:
    async with serving() as server:
        with pytest.raises(ServiceError) as caught:
            async with serve(server.address, [], interceptors=[]):
                pass

    assert caught.value.reason == "ADDRESS_NOT_AVAILABLE"


async def test_a_server_that_is_not_there_is_a_clear_error() -> None:
    async with serving() as server:
        gone = server
    with pytest.raises(ServiceError) as caught:
        await list_keys(gone)

    assert caught.value.reason == "SERVER_UNAVAILABLE"


async def test_calls_are_counted_by_method_and_code() -> None:
    registry = CollectorRegistry()
    async with serving(registry=registry) as server:
        await list_keys(server)

    labels = {"method": f"/{NAME}/ListKeys", "code": "OK"}
    assert registry.get_sample_value("drydock_rpc_duration_seconds_count", labels) == 1
