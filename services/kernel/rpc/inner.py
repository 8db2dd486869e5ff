"""The inner door of a process: for its peers alone, and never open to a network without proof of who calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

import structlog

from services.kernel.addresses import is_loopback
from services.kernel.errors import Kind, ServiceError
from services.kernel.ids import Ids
from services.kernel.rpc import call_context
from services.kernel.rpc.bearer import bearer_in
from services.kernel.rpc.identity import Identity
from services.kernel.rpc.interceptors import CallInterceptor, Metadata, RpcMetrics
from services.kernel.rpc.server import RunningServer, Service, serve

log = structlog.get_logger()

_STREAMS = 50_000
"""Of a peer: behind its one connection all its callers wait, and those that ask for a moment must not queue."""


class PeerGuard:
    """Admits whoever sends a service token; everybody, where certificates tell already or nothing can."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    async def admit(self, method: str, metadata: Metadata) -> None:
        """Returns when the caller is a peer. Health and reflection are no exceptions.

        Raises:
            ServiceError: SERVICE_TOKEN_WRONG (UNAUTHENTICATED), the same whether it is missing or another one.
        """
        del method
        if self._identity.tokens and not self._identity.accepts(bearer_in(metadata)):
            raise ServiceError(
                Kind.UNAUTHENTICATED,
                "SERVICE_TOKEN_WRONG",
                "The call carries no service token that this process knows.",
                hint="Give every process of the installation the same DRYDOCK_SERVICE_TOKEN.",
            )
        call_context.act_for(call_context.actor_in(metadata))


def check_listen(address: str, identity: Identity) -> None:
    """Refuses an address that other machines reach while nothing tells peers from strangers.

    Raises:
        ServiceError: INNER_DOOR_UNGUARDED.
    """
    if not identity.proves and not is_loopback(address.rpartition(":")[0]):
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "INNER_DOOR_UNGUARDED",
            f"Without a service token or certificates nobody may listen on {address}: any machine could call.",
            hint="Set DRYDOCK_SERVICE_TOKEN_FILE, or DRYDOCK_TLS_CERT_FILE, …_KEY_FILE and …_CA_FILE; "
            "or listen on 127.0.0.1.",
        )


def serve_inner(
    address: str,
    services: Sequence[Service],
    *,
    identity: Identity,
    ids: Ids,
    metrics: RpcMetrics,
    grace_seconds: float,
) -> AbstractAsyncContextManager[RunningServer]:
    """Serves peers on `HOST:PORT` until exit; see `serve`.

    Raises:
        ServiceError: INNER_DOOR_UNGUARDED, ADDRESS_NOT_AVAILABLE.
    """
    check_listen(address, identity)
    if not identity.proves:
        log.warning("inner_door.unguarded", address=address, hint="Every user of this machine may call it.")
    interceptor = CallInterceptor(guard=PeerGuard(identity), ids=ids, metrics=metrics)
    return serve(
        address,
        services,
        interceptors=[interceptor],
        grace_seconds=grace_seconds,
        credentials=identity.server_credentials(),
        max_streams=_STREAMS,
    )
