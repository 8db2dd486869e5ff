"""A peer: another process of the installation, called with a deadline and, where that is safe, more than once.

Retries are ours, not grpc's: a call is repeated only when its client declared it repeatable, only while the peer
cannot be reached or says so itself, and never past the deadline.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeAlias, TypeVar

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from services.kernel.errors import Kind, ServiceError, invalid
from services.kernel.rpc import call_context
from services.kernel.rpc.failures import deadline_exceeded
from services.kernel.rpc.identity import Identity
from services.kernel.rpc.interceptors import DURATION_BUCKETS
from services.kernel.rpc.server import MAX_ANSWER_BYTES, MAX_REQUEST_BYTES
from services.kernel.rpc.status import CODES, from_rpc_error

log = structlog.get_logger()

Q = TypeVar("Q")
A = TypeVar("A")
T = TypeVar("T")
Unary: TypeAlias = grpc.aio.UnaryUnaryMultiCallable[Q, A]
Stream: TypeAlias = grpc.aio.UnaryStreamMultiCallable[Q, A]
Attempt: TypeAlias = Callable[[float], Awaitable[T]]

_ATTEMPTS = 5
_MANY = 1_000_000
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0
CHANNEL_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
    ("grpc.max_send_message_length", MAX_REQUEST_BYTES),
    # Peers are near: a proxy from the environment would swallow the calls.
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),
    # A copy that went without a word is noticed within half a minute, also between calls.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that restarts is found again within a second or two; grpc's own backoff grows to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 1_000),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Calls go round all copies; the name server is asked again when one of them is lost.
    ("grpc.lb_policy_name", "round_robin"),
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
)
_TARGET = re.compile(r"(?:dns|ipv4|ipv6|unix):\S+")
_ADDRESS = re.compile(r"(?:[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.%]+\]):[0-9]{1,5}")
_IPV4 = re.compile(r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}:[0-9]{1,5}")


class PeerMetrics:
    """How calls to peers end, and how often one was repeated."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._durations = Histogram(
            "drydock_peer_call_duration_seconds",
            "Duration of calls to peers, all attempts of a call together.",
            ("peer", "code"),
            buckets=DURATION_BUCKETS,
            registry=registry,
        )
        self._retries = Counter(
            "drydock_peer_retries", "Attempts after the first one.", ("peer",), registry=registry
        )

    def ended(self, peer: str, code: str, seconds: float) -> None:
        """Counts one call."""
        self._durations.labels(peer, code).observe(seconds)

    def repeated(self, peer: str) -> None:
        """Counts one more attempt."""
        self._retries.labels(peer).inc()


class Peer:
    """One peer, all its copies together."""

    def __init__(
        self,
        name: str,
        channel: grpc.aio.Channel,
        *,
        token: str,
        call_seconds: float,
        metrics: PeerMetrics,
        random_source: random.Random,
    ) -> None:
        """Prepares; connecting happens with the first call. Calls get `call_seconds` where the caller has more."""
        self.name = name
        self.channel = channel
        self._token = (("authorization", f"Bearer {token}"),) if token else ()
        self._call_seconds = call_seconds
        self._metrics = metrics
        self._random = random_source
        # The stubs of the health package name no methods.
        health: Any = health_pb2_grpc.HealthStub(channel)
        self._health = self.once(health.Check)

    def once(self, method: Unary[Q, A]) -> Callable[[Q], Awaitable[A]]:
        """Returns the method as a function that sends each request at most once.

        It raises the ServiceError that the peer meant, or PEER_UNAVAILABLE, PEER_REFUSED, DEADLINE_EXCEEDED.
        """
        return lambda request: self._call(self._unary(method, request), attempts=1)

    def repeatable(self, method: Unary[Q, A]) -> Callable[[Q], Awaitable[A]]:
        """Returns an idempotent method as a function that repeats what a peer out of reach did not answer."""
        return lambda request: self._call(self._unary(method, request), attempts=_ATTEMPTS)

    def repeatable_stream(self, method: Stream[Q, A]) -> Callable[[Q], Awaitable[list[A]]]:
        """Returns an idempotent streaming method as a function that collects all answers, or none."""
        return lambda request: self._call(self._collected(method, request), attempts=_ATTEMPTS)

    def lasting(self, method: Unary[Q, A]) -> Callable[[Q, float], Awaitable[A]]:
        """Returns an idempotent method that waits for something, as a function of request and seconds.

        However long these are, what a peer out of reach did not answer is repeated until they are over.
        """
        return lambda request, seconds: self._call(self._unary(method, request), attempts=_MANY, seconds=seconds)

    async def follow(self, method: Stream[Q, A], request: Q, seconds: float) -> AsyncIterator[A]:
        """Yields what a method streams that tells at its begin how things stand; begins again after a lost peer.

        Raises:
            ServiceError: as `once`.
        """
        loop = asyncio.get_running_loop()
        end = loop.time() + call_context.allowed_seconds(seconds)
        number = 0
        while True:
            try:
                with self._not_cancelled_by_grpc():
                    async for answer in method(request, timeout=end - loop.time(), metadata=self._metadata()):
                        number = 0
                        yield answer
            except grpc.aio.AioRpcError as error:
                failure = self._translated(error)
                number = min(number + 1, _ATTEMPTS)
                pause = self._pause(error, failure, number)
                if pause is None or loop.time() + pause >= end:
                    raise failure from error
            else:
                return
            self._metrics.repeated(self.name)
            await asyncio.sleep(pause)

    async def check(self, service: str) -> None:
        """Returns when the peer serves the gRPC service of that name.

        Raises:
            ServiceError: PEER_UNAVAILABLE, PEER_REFUSED, or whatever else stands in the way.
        """
        answer = await self._health(health_pb2.HealthCheckRequest(service=service))
        if answer.status != health_pb2.HealthCheckResponse.SERVING:
            raise self._unavailable()

    def _unary(self, method: Unary[Q, A], request: Q) -> Attempt[A]:
        async def attempt(seconds: float) -> A:
            with self._not_cancelled_by_grpc():
                return await method(request, timeout=seconds, metadata=self._metadata())

        return attempt

    def _collected(self, method: Stream[Q, A], request: Q) -> Attempt[list[A]]:
        async def attempt(seconds: float) -> list[A]:
            with self._not_cancelled_by_grpc():
                return [answer async for answer in method(request, timeout=seconds, metadata=self._metadata())]

        return attempt

    def _metadata(self) -> grpc.aio.Metadata:
        return grpc.aio.Metadata(*self._token, *call_context.passed_on())

    async def _call(self, attempt: Attempt[T], *, attempts: int, seconds: float = 0.0) -> T:
        loop = asyncio.get_running_loop()
        began = loop.time()
        end = began + call_context.allowed_seconds(seconds or self._call_seconds)
        code = "OK"
        try:
            for left in reversed(range(attempts)):
                if loop.time() >= end:
                    break
                try:
                    return await attempt(end - loop.time())
                except grpc.aio.AioRpcError as error:
                    failure = self._translated(error)
                    pause = self._pause(error, failure, attempts - left)
                    if not left or pause is None or loop.time() + pause >= end:
                        raise failure from error
                self._metrics.repeated(self.name)
                await asyncio.sleep(pause)
            raise deadline_exceeded()
        except ServiceError as error:
            code = CODES[error.kind].name
            raise
        finally:
            self._metrics.ended(self.name, code, loop.time() - began)

    def _pause(self, error: grpc.aio.AioRpcError, failure: ServiceError, number: int) -> float | None:
        """Returns how long to wait before the next attempt; None when another one makes no sense."""
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            return None
        longest = min(_FIRST_PAUSE_SECONDS * 2.0 ** min(number - 1, _ATTEMPTS), _LONGEST_PAUSE_SECONDS)
        asked = 0.0 if failure.reason == "PEER_UNAVAILABLE" else failure.retry_after or 0.0
        if asked > _LONGEST_PAUSE_SECONDS:
            return None
        return max(asked, longest * self._random.uniform(0.5, 1.0))

    def _translated(self, error: grpc.aio.AioRpcError) -> ServiceError:
        failure = from_rpc_error(error)
        if failure.reason == "SERVER_UNAVAILABLE":
            log.warning("peer.unreachable", peer=self.name, detail=error.details())
            return self._unavailable()
        if failure.reason == "SERVICE_TOKEN_WRONG":
            # Left as it is, it would tell our own caller that its token is wrong.
            return ServiceError(
                Kind.UNAVAILABLE,
                "PEER_REFUSED",
                f"The {self.name} service does not take this process for one of the installation.",
                hint=failure.hint,
            )
        # Ours and the peer's are one: it was passed on.
        failure.metadata = {key: value for key, value in failure.metadata.items() if key != "request_id"}
        return failure

    @contextmanager
    def _not_cancelled_by_grpc(self) -> Iterator[None]:
        """Takes a call that grpc alone has cancelled for what it is: a peer that was not reached.

        grpc raises `CancelledError` for it, as when its channel is closed; let through, it would end a task that
        nobody has told to end.
        """
        try:
            yield
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.warning("peer.call_cancelled", peer=self.name)
            raise self._unavailable() from error

    def _unavailable(self) -> ServiceError:
        return ServiceError(
            Kind.UNAVAILABLE,
            "PEER_UNAVAILABLE",
            f"The {self.name} service cannot be reached.",
            hint="Try again in a few seconds.",
            retry_after=2.0,
        )


@asynccontextmanager
async def open_peer(
    name: str,
    address: str,
    *,
    identity: Identity,
    metrics: PeerMetrics,
    call_seconds: float = 30.0,
) -> AsyncIterator[Peer]:
    """Opens the way to a peer and closes it at exit; `address` is as `to_target` reads it.

    Raises:
        ServiceError: INVALID_PEER_ADDRESS.
    """
    target, credentials = to_target(address), identity.channel_credentials()
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=CHANNEL_OPTIONS)
    async with channel:
        yield Peer(
            name,
            channel,
            token=identity.tokens[0] if identity.tokens else "",
            call_seconds=call_seconds,
            metrics=metrics,
            random_source=random.Random(),  # noqa: S311 - jitter, no secret
        )


def to_target(address: str) -> str:
    """Returns grpc's word for an address: HOST:PORT, several IPv4 ones with commas, or already grpc's word.

    All addresses that a name has are used, in turn.

    Raises:
        ServiceError: INVALID_PEER_ADDRESS.
    """
    if _TARGET.fullmatch(address):
        return address
    parts = address.split(",")
    if len(parts) == 1 and _ADDRESS.fullmatch(address):
        return f"dns:///{address}"
    if all(map(_IPV4.fullmatch, parts)):
        return f"ipv4:{address}"
    raise invalid(
        "INVALID_PEER_ADDRESS",
        f"{address[:80]!r} is no address of a peer.",
        hint="Write HOST:PORT; several copies without a common name as IPv4 addresses with commas between them.",
    )
