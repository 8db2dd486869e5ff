"""A gRPC server with health and reflection that starts whole and stops in order."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from services.kernel import open_files
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

MAX_STREAMS = 1000
"""Calls under way on one connection of a caller's."""
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A report of a large image is tens of MiB of JSON."""
_HANDSHAKE_SECONDS = 10
"""From the connection to the caller's first frame. grpc's own is two minutes."""

_OPTIONS = (
    ("grpc.max_send_message_length", MAX_ANSWER_BYTES),
    # Calls that came in and were not handed to Python yet: beyond the first figure grpc cancels some, beyond the
    # second all. Beyond its own, 1,000 and 3,000, is a crowd that begins to wait at one moment.
    ("grpc.server.max_pending_requests", 20_000),
    ("grpc.server.max_pending_requests_hard_limit", 50_000),
    # Without this a second server on the same port would quietly take half of the calls.
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One gRPC service and how to add it to a server."""

    name: str
    """Full name, as in `drydock.rules.v1.RulesService`."""
    add: Callable[[grpc.aio.Server], None]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunningServer:
    """A server that answers."""

    address: str
    """`HOST:PORT` with the port that was really bound."""


@asynccontextmanager
async def serve(
    address: str,
    services: Sequence[Service],
    *,
    interceptors: Sequence[grpc.aio.ServerInterceptor],
    grace_seconds: float = 10.0,
    credentials: grpc.ServerCredentials | None = None,
    max_request_bytes: int = MAX_REQUEST_BYTES,
    max_streams: int = MAX_STREAMS,
) -> AsyncIterator[RunningServer]:
    """Listens on `HOST:PORT` (port 0: any free one) and serves until exit.

    With `credentials` it speaks TLS only. At exit health says NOT_SERVING, new calls are refused, calls under way
    get `grace_seconds`, and what still runs then is cancelled.

    Raises:
        ServiceError: ADDRESS_NOT_AVAILABLE when it cannot listen there.
    """
    options = (
        *_OPTIONS,
        ("grpc.max_receive_message_length", max_request_bytes),
        ("grpc.max_concurrent_streams", max_streams),
        ("grpc.server_handshake_timeout_ms", round(_HANDSHAKE_SECONDS * 1000)),
        # Whoever has no key may connect all the same: what the rest of the process opens is not theirs to take.
        ("grpc.max_allowed_incoming_connections", open_files.limit() // 2),
    )
    server = grpc.aio.server(interceptors=tuple(interceptors), options=options)
    # For every call, grpc.aio waits anew on one future for each registered method: with sixty of them that took a
    # sixth of all the time of a small call. Methods that are only found by their names cost a look-up.
    server.add_registered_method_handlers = _by_name_alone  # type: ignore[method-assign]  # grpc has no switch
    checks = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    for service in services:
        service.add(server)
    names = [service.name for service in services]
    reflection.enable_server_reflection([*names, health.SERVICE_NAME, reflection.SERVICE_NAME], server)
    bound = _bind(server, address, credentials)
    for name in names:
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()
    log.info("rpc.listening", address=bound)
    try:
        yield RunningServer(address=bound)
    finally:
        await checks.enter_graceful_shutdown()
        await server.stop(grace_seconds)
        log.info("rpc.stopped", address=bound)


def _by_name_alone(service_name: str, method_handlers: Mapping[str, object]) -> None:
    """Registers nothing: `add_generic_rpc_handlers`, which generated code calls too, is enough."""
    del service_name, method_handlers


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> str:
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as error:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "ADDRESS_NOT_AVAILABLE",
            f"Cannot listen on {address}.",
            hint="Another program may hold the port: name a free one.",
        ) from error
    return f"{address.rpartition(':')[0]}:{port}"
