"""The peers of a process: their clients, and whether they could be reached."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import structlog

from services.fixer import client as fixer
from services.kernel.errors import ServiceError
from services.kernel.rpc.peer import Peer, PeerMetrics, open_peer
from services.kernel.run import Part, Process
from services.kernel.wakeup import wait
from services.notifier import client as notifier
from services.processes.plan import Plan
from services.processes.roles import LATER, PEERS, Role
from services.rules import client as rules
from services.scanner import client as scanner

log = structlog.get_logger()

SERVICES = {
    Role.RULES: rules.SERVICE,
    Role.SCANNER: scanner.SERVICE,
    Role.FIXER: fixer.SERVICE,
    Role.NOTIFIER: notifier.SERVICE,
}
"""The gRPC service by which each is known."""
_LOOK_SECONDS = 0.5


async def open_peers(
    stack: AsyncExitStack, process: Process, plan: Plan, metrics: PeerMetrics
) -> dict[Role, Peer]:
    """Opens the way to every peer that the role calls; they close with the stack.

    The process is not ready before each was reached once, those excepted that are asked later. What happens to a
    peer later is told call by call: a service that is away must not take all others out of the load balancer.
    """
    peers = {}
    for role in (*PEERS[plan.role], *LATER[plan.role]):
        peers[role] = await stack.enter_async_context(
            open_peer(
                role.value,
                plan.process.address(role),
                identity=plan.identity,
                metrics=metrics,
                call_seconds=plan.process.peer_call_seconds,
            )
        )
        if role not in PEERS[plan.role]:
            continue
        part = process.readiness.add(f"peer {role.value}")
        process.start(f"peer {role.value}", _await(peers[role], SERVICES[role], part, process.stopping))
    return peers


async def _await(peer: Peer, service: str, part: Part, stopping: asyncio.Event) -> None:
    """Asks until the peer answers, and says so."""
    while not stopping.is_set():
        try:
            await peer.check(service)
        except ServiceError as error:
            part.set(False, error.sentence())
            await wait(stopping, _LOOK_SECONDS)
        else:
            part.set(True)
            log.info("peer.reached", peer=peer.name)
            return
