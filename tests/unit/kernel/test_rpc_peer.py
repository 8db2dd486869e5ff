"""Calls to a peer: deadlines, retries of what is idempotent, copies, restarts, and what goes on with a call."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from drydock.gateway.v1 import admin_service_pb2 as pb
from drydock.gateway.v1 import admin_service_pb2_grpc as rpc
from drydock.scanner.v1 import scanner_inner_service_pb2 as inner_pb
from drydock.scanner.v1 import scanner_inner_service_pb2_grpc as inner_rpc
from services.kernel import trace
from services.kernel.errors import Kind, ServiceError
from services.kernel.rpc.peer import CHANNEL_OPTIONS, Peer, to_target
from services.kernel.rpc.server import Service
from tests.builders.peers import TOKEN, inner_door, peer_at

UUID = "6dd5e0a1-4c2c-4e50-9c5b-0d6d6f1a0a55"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Behaviour = Callable[[Any], Awaitable[pb.ListKeysResponse]]


class Answers(rpc.AdminServiceServicer):
    """ListKeys does what the test says, with the context of the call."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour

    async def ListKeys(self, request: pb.ListKeysRequest, context: Any) -> pb.ListKeysResponse:
        return await self._behaviour(context)


def service(behaviour: Behaviour) -> Service:
    answers = Answers(behaviour)  # type: ignore[abstract] # the other methods are not called

    return Service(
        name="drydock.gateway.v1.AdminService",
        add=lambda server: rpc.add_AdminServiceServicer_to_server(answers, server),
    )


def list_keys(peer: Peer, *, again: bool = True) -> Awaitable[pb.ListKeysResponse]:
    stub: rpc.AdminServiceAsyncStub = rpc.AdminServiceStub(peer.channel)
    return (peer.repeatable if again else peer.once)(stub.ListKeys)(pb.ListKeysRequest())


def away(retry_after: float | None = 0.01) -> ServiceError:
    return ServiceError(Kind.UNAVAILABLE, "AWAY", "Not now.", retry_after=retry_after)


class Flaky:
    """Fails so often, then answers; counts."""

    def __init__(self, failures: int, error: ServiceError) -> None:
        self.calls = 0
        self._failures = failures
        self._error = error

    async def __call__(self, context: object) -> pb.ListKeysResponse:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return pb.ListKeysResponse()


async def test_an_idempotent_call_is_repeated_while_the_peer_is_away_and_counted() -> None:
    flaky, registry = Flaky(2, away()), CollectorRegistry()
    async with inner_door([service(flaky)]) as door, peer_at(door.address, registry=registry) as peer:
        await list_keys(peer)
    assert flaky.calls == 3
    assert registry.get_sample_value("drydock_peer_retries_total", {"peer": "scanner"}) == 2
    labels = {"peer": "scanner", "code": "OK"}
    assert registry.get_sample_value("drydock_peer_call_duration_seconds_count", labels) == 1


class Hangs:
    """Never answers; tells when it was asked."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def __call__(self, context: object) -> pb.ListKeysResponse:
        self.asked.set()
        await asyncio.Event().wait()
        raise AssertionError


async def test_a_call_that_grpc_alone_cancelled_is_an_outage_and_ends_no_task() -> None:
    hangs = Hangs()
    async with inner_door([service(hangs)]) as door, peer_at(door.address) as peer:
        calling = asyncio.ensure_future(list_keys(peer))
        await hangs.asked.wait()
        await peer.channel.close()
        with pytest.raises(ServiceError) as caught:
            await calling
    assert caught.value.reason == "PEER_UNAVAILABLE"


async def test_a_caller_that_is_cancelled_ends_as_cancelled() -> None:
    hangs = Hangs()
    async with inner_door([service(hangs)]) as door, peer_at(door.address) as peer:
        calling = asyncio.ensure_future(list_keys(peer))
        await hangs.asked.wait()
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling


async def test_a_call_that_changes_something_is_sent_once() -> None:
    flaky = Flaky(1, away())
    async with inner_door([service(flaky)]) as door, peer_at(door.address) as peer:
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer, again=False)
    assert (flaky.calls, caught.value.reason) == (1, "AWAY")


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not Kind.UNAVAILABLE])
async def test_what_is_no_outage_is_not_repeated(kind: Kind) -> None:
    flaky = Flaky(1, ServiceError(kind, "NO", "No."))
    async with inner_door([service(flaky)]) as door, peer_at(door.address) as peer:
        with pytest.raises(ServiceError, match="No"):
            await list_keys(peer)
    assert flaky.calls == 1


async def test_it_gives_up_after_a_few_times_or_when_it_is_asked_to_wait_for_long() -> None:
    for error, calls in ((away(), 5), (away(60), 1)):
        flaky = Flaky(100, error)
        async with inner_door([service(flaky)]) as door, peer_at(door.address) as peer:
            with pytest.raises(ServiceError) as caught:
                await list_keys(peer)
        assert (flaky.calls, caught.value.reason) == (calls, "AWAY")


async def test_no_repetition_goes_past_the_deadline() -> None:
    flaky, loop = Flaky(100, away(0.2)), asyncio.get_running_loop()
    async with inner_door([service(flaky)]) as door, peer_at(door.address, call_seconds=0.3) as peer:
        began = loop.time()
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer)
    assert caught.value.reason == "AWAY"
    assert loop.time() - began < 0.3


async def test_a_peer_that_hangs_is_given_up() -> None:
    async with inner_door([service(Hangs())]) as door, peer_at(door.address, call_seconds=0.1) as peer:
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer)
    assert caught.value.kind is Kind.DEADLINE_EXCEEDED


async def test_errors_come_through_whole() -> None:
    sent = ServiceError(
        Kind.FAILED_PRECONDITION,
        "TAG_MOVED",
        "The tag moved.",
        hint="Look.",
        field="tag",
        retry_after=1.5,
        metadata={"digest": "sha256:x"},
    )
    async with inner_door([service(Flaky(1, sent))]) as door, peer_at(door.address) as peer:
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer)
    names = ("kind", "reason", "message", "hint", "field", "retry_after", "metadata")
    assert [getattr(caught.value, name) for name in names] == [getattr(sent, name) for name in names]


async def test_a_peer_that_is_not_there_is_named() -> None:
    async with peer_at("127.0.0.1:1") as peer:
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer, again=False)
    assert (caught.value.kind, caught.value.reason) == (Kind.UNAVAILABLE, "PEER_UNAVAILABLE")
    assert "scanner" in caught.value.message


@pytest.mark.slow
async def test_a_peer_that_restarts_is_found_again() -> None:
    flaky = Flaky(0, away())
    async with inner_door([service(flaky)]) as door:
        address = door.address
    async with peer_at(address) as peer:
        for _ in range(3):
            with pytest.raises(ServiceError):
                await list_keys(peer)
        async with inner_door([service(flaky)], address=address):
            await list_keys(peer)


def test_a_channel_asks_again_every_second_at_most() -> None:
    assert dict(CHANNEL_OPTIONS)["grpc.max_reconnect_backoff_ms"] == 1000


async def test_calls_go_round_all_copies_and_around_one_that_is_gone() -> None:
    calls: Counter[int] = Counter()

    def copy(number: int) -> Behaviour:
        async def count(context: object) -> pb.ListKeysResponse:
            calls[number] += 1
            return pb.ListKeysResponse()

        return count

    async with inner_door([service(copy(1))]) as one:
        async with inner_door([service(copy(2))]) as two, peer_at(f"{one.address},{two.address}") as peer:
            async with asyncio.timeout(5):
                while len(calls) < 2:
                    await list_keys(peer)
            await two_rounds(peer, calls)
        async with peer_at(f"{one.address},{two.address}") as peer:
            for _ in range(10):
                await list_keys(peer)


async def two_rounds(peer: Peer, calls: Counter[int]) -> None:
    calls.clear()
    for _ in range(10):
        await list_keys(peer)
    assert calls == {1: 5, 2: 5}


@pytest.mark.parametrize(
    "sent", [{"traceparent": PARENT}, {"traceparent": "nonsense"}, {}], ids=["given", "malformed", "none"]
)
async def test_request_id_and_trace_go_on_with_the_call(sent: dict[str, str]) -> None:
    served: list[str] = []
    seen: list[dict[str, Any]] = []

    async def outer(context: object) -> pb.ListKeysResponse:
        served.append(trace.current())
        return await list_keys(onward)

    async def inner(context: Any) -> pb.ListKeysResponse:
        seen.append(dict(context.invocation_metadata()))
        return pb.ListKeysResponse()

    async with (
        inner_door([service(inner)]) as deep,
        peer_at(deep.address) as onward,
        inner_door([service(outer)]) as door,
        peer_at(door.address) as peer,
    ):
        stub: rpc.AdminServiceAsyncStub = rpc.AdminServiceStub(peer.channel)
        token = ("authorization", f"Bearer {TOKEN.tokens[0]}")
        await stub.ListKeys(pb.ListKeysRequest(), metadata=(token, ("x-request-id", UUID), *sent.items()))
    [metadata] = seen
    assert metadata["x-request-id"] == UUID
    span = metadata["traceparent"]
    assert trace.trace_id_of(span) == trace.trace_id_of(served[0])
    assert span not in (served[0], sent.get("traceparent"))
    if sent.get("traceparent") == PARENT:
        assert trace.trace_id_of(span) == trace.trace_id_of(PARENT)


async def test_an_inner_call_gets_less_time_than_the_call_that_it_serves() -> None:
    remaining: list[float] = []

    async def inner(context: Any) -> pb.ListKeysResponse:
        remaining.append(context.time_remaining())
        return pb.ListKeysResponse()

    async with (
        inner_door([service(inner)]) as deep,
        peer_at(deep.address, call_seconds=30) as onward,
        inner_door([service(lambda _: list_keys(onward))]) as door,
        peer_at(door.address, call_seconds=2.0) as peer,
    ):
        await list_keys(peer)
    assert 1.0 < remaining[0] < 1.96


async def test_without_time_left_no_inner_call_is_made() -> None:
    called = Flaky(0, away())

    async with (
        inner_door([service(called)]) as deep,
        peer_at(deep.address) as onward,
        inner_door([service(lambda _: list_keys(onward))]) as door,
        peer_at(door.address, call_seconds=0.06) as peer,  # less than the margins of two calls
    ):
        with pytest.raises(ServiceError) as caught:
            await list_keys(peer, again=False)
    assert (caught.value.kind, called.calls) == (Kind.DEADLINE_EXCEEDED, 0)


class Streams(inner_rpc.ScannerInnerServiceServicer):
    """Breaks off after the first part, the first time."""

    def __init__(self, error: ServiceError) -> None:
        self.calls = 0
        self._error = error

    async def ReadFindings(
        self, request: inner_pb.ReadFindingsRequest, context: object
    ) -> AsyncIterator[inner_pb.ReadFindingsResponse]:
        self.calls += 1
        yield inner_pb.ReadFindingsResponse()
        if self.calls == 1:
            raise self._error
        yield inner_pb.ReadFindingsResponse()


@pytest.mark.parametrize(("error", "calls"), [(away(), 2), (ServiceError(Kind.INTERNAL, "NO", "No."), 1)])
async def test_a_stream_that_breaks_off_is_read_anew_or_not_at_all(error: ServiceError, calls: int) -> None:
    streams = Streams(error)  # type: ignore[abstract] # the other methods are not called
    inner = Service(
        name="drydock.scanner.v1.ScannerInnerService",
        add=lambda server: inner_rpc.add_ScannerInnerServiceServicer_to_server(streams, server),
    )
    async with inner_door([inner]) as door, peer_at(door.address) as peer:
        stub: inner_rpc.ScannerInnerServiceAsyncStub = inner_rpc.ScannerInnerServiceStub(peer.channel)
        read = peer.repeatable_stream(stub.ReadFindings)
        if calls == 1:
            with pytest.raises(ServiceError, match="No"):
                await read(inner_pb.ReadFindingsRequest())
        else:
            assert len(await read(inner_pb.ReadFindingsRequest())) == 2
    assert streams.calls == calls


@pytest.mark.parametrize(("error", "calls"), [(away(), 2), (ServiceError(Kind.INTERNAL, "NO", "No."), 1)])
async def test_a_stream_that_is_followed_goes_on_at_a_peer_that_is_back(error: ServiceError, calls: int) -> None:
    streams = Streams(error)  # type: ignore[abstract] # the other methods are not called
    inner = Service(
        name="drydock.scanner.v1.ScannerInnerService",
        add=lambda server: inner_rpc.add_ScannerInnerServiceServicer_to_server(streams, server),
    )
    told = 0
    async with inner_door([inner]) as door, peer_at(door.address) as peer:
        stub: inner_rpc.ScannerInnerServiceAsyncStub = inner_rpc.ScannerInnerServiceStub(peer.channel)
        try:
            async for _ in peer.follow(stub.ReadFindings, inner_pb.ReadFindingsRequest(), 5.0):
                told += 1
        except ServiceError as caught:
            assert caught.reason == "NO"
    # What was told before is told, and once more by whoever begins anew.
    assert (streams.calls, told) == (calls, 3 if calls == 2 else 1)


async def test_a_call_that_lasts_is_repeated_until_its_time_is_up_however_often_that_is() -> None:
    flaky = Flaky(7, away())
    async with inner_door([service(flaky)]) as door, peer_at(door.address, call_seconds=0.1) as peer:
        stub: rpc.AdminServiceAsyncStub = rpc.AdminServiceStub(peer.channel)
        await peer.lasting(stub.ListKeys)(pb.ListKeysRequest(), 30.0)
        assert flaky.calls == 8
        hopeless = Flaky(1000, away())
    async with inner_door([service(hopeless)]) as door, peer_at(door.address) as peer:
        stub = rpc.AdminServiceStub(peer.channel)
        with pytest.raises(ServiceError) as caught:
            await peer.lasting(stub.ListKeys)(pb.ListKeysRequest(), 1.0)
        assert caught.value.kind in (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)
        assert hopeless.calls > 1


@pytest.mark.parametrize(
    ("address", "target"),
    [
        ("rules:7071", "dns:///rules:7071"),
        ("127.0.0.1:7071", "dns:///127.0.0.1:7071"),
        ("[::1]:7071", "dns:///[::1]:7071"),
        ("10.0.0.1:7071,10.0.0.2:7071", "ipv4:10.0.0.1:7071,10.0.0.2:7071"),
        ("dns:///rules.internal:7071", "dns:///rules.internal:7071"),
    ],
)
def test_an_address_is_read(address: str, target: str) -> None:
    assert to_target(address) == target


@pytest.mark.parametrize("address", ["", "rules", "rules:", "http://rules:7071", "a:1,b:2", "rules:7071/x"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ServiceError) as caught:
        to_target(address)
    assert caught.value.reason == "INVALID_PEER_ADDRESS"


async def test_a_crowd_that_calls_at_one_moment_is_answered_whole() -> None:
    go, under_way = asyncio.Event(), 0

    async def wait(context: object) -> pb.ListKeysResponse:
        nonlocal under_way
        under_way += 1
        if under_way == 3_500:
            go.set()
        await go.wait()
        return pb.ListKeysResponse()

    async with inner_door([service(wait)]) as door, peer_at(door.address, call_seconds=60.0) as peer:
        await asyncio.gather(*(list_keys(peer, again=False) for _ in range(3_500)))
