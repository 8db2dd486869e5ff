"""Inner doors and the way to them, in the test's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry

from services.kernel.ids import RandomIds
from services.kernel.rpc.identity import Identity
from services.kernel.rpc.inner import serve_inner
from services.kernel.rpc.interceptors import RpcMetrics
from services.kernel.rpc.peer import Peer, PeerMetrics, open_peer
from services.kernel.rpc.server import RunningServer, Service

TOKEN = Identity(tokens=("service-token-of-the-tests",))


@asynccontextmanager
async def inner_door(
    services: Sequence[Service], *, identity: Identity = TOKEN, address: str = "127.0.0.1:0"
) -> AsyncIterator[RunningServer]:
    metrics = RpcMetrics(CollectorRegistry())
    async with serve_inner(
        address, services, identity=identity, ids=RandomIds(), metrics=metrics, grace_seconds=1.0
    ) as running:
        yield running


@asynccontextmanager
async def peer_at(
    address: str,
    *,
    identity: Identity = TOKEN,
    call_seconds: float = 10.0,
    registry: CollectorRegistry | None = None,
) -> AsyncIterator[Peer]:
    metrics = PeerMetrics(registry or CollectorRegistry())
    async with open_peer(
        "scanner", address, identity=identity, metrics=metrics, call_seconds=call_seconds
    ) as peer:
        yield peer
