"""Builds the gateway and opens its doors."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import grpc
import structlog
from starlette.applications import Starlette

from services.gateway.audit import AuditInterceptor, AuditLog
from services.gateway.auth import BearerGuard
from services.gateway.dead_letters import DeadLetters
from services.gateway.editions import EditionInterceptor, Editions
from services.gateway.grpc import public_services
from services.gateway.http import http_app
from services.gateway.keys import Keys
from services.gateway.settings import GatewaySettings
from services.gateway.store import GatewayStore
from services.gateway.tokens import TokenChecker
from services.gateway.webhooks.address import WebhookAddress
from services.gateway.webhooks.open import open_webhooks
from services.kernel.addresses import is_loopback
from services.kernel.disk_use import DiskUse
from services.kernel.ground import Ground
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from services.kernel.webserver import serve_http
from services.notifier.api import NotifierApi
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where the gateway listens, as really bound, and its keys."""

    grpc: str
    http: str
    keys: Keys
    """AdminApi, and `bootstrap_admin` for whoever starts the process."""


@asynccontextmanager
async def server(
    ground: Ground, *, rules: RulesApi, scanner: ScannerApi, notifier: NotifierApi, settings: GatewaySettings
) -> AsyncIterator[Doors]:
    """Opens the doors and yields where they are; they close as soon as the process is stopping.

    Raises:
        ServiceError: ADDRESS_NOT_AVAILABLE.
    """
    process, pool, clock, ids = ground.process, ground.pool, ground.clock, ground.ids

    async def find_instance(instance: str) -> str:
        return (await rules.get_instance(instance)).instance_id

    store = GatewayStore()
    checker = TokenChecker(pool, store, clock)
    keys = Keys(pool=pool, store=store, checker=checker, find_instance=find_instance, clock=clock, ids=ids)
    editions = Editions(rules, clock)
    webhooks = WebhookAddress(settings.public_url)
    audit = AuditLog(pool, store, rules, clock)
    services = public_services(
        rules=rules,
        scanner=scanner,
        notifier=notifier,
        admin=keys,
        letters=DeadLetters(ground.bus),
        audit=audit,
        editions=editions,
        webhooks=webhooks,
    )
    interceptor = CallInterceptor(
        guard=BearerGuard(checker),
        ids=ids,
        metrics=RpcMetrics(ground.registry),
        default_deadline_seconds=settings.call_deadline_seconds,
    )
    process.start("gateway.disk_use", DiskUse("gateway", pool, ground.registry).run(process.stopping))
    async with open_webhooks(
        ground, store=store, checker=checker, editions=editions, settings=settings
    ) as webhook_door:
        plan = _Plan(
            settings=settings,
            services=services,
            interceptors=(interceptor, EditionInterceptor(editions, clock), AuditInterceptor(audit)),
            app=http_app(webhooks=webhook_door, ids=ids),
            webhooks=webhooks,
        )
        part = process.readiness.add("gateway")
        grpc_address, http_address = await process.hold("gateway.doors", _doors(plan))
        part.set(True)
        yield Doors(grpc=grpc_address, http=http_address, keys=keys)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What stands behind the doors."""

    settings: GatewaySettings
    services: Sequence[Service]
    interceptors: Sequence[grpc.aio.ServerInterceptor]
    """The outermost first."""
    app: Starlette
    webhooks: WebhookAddress


@asynccontextmanager
async def _doors(plan: _Plan) -> AsyncIterator[tuple[str, str]]:
    """Opens both doors and yields where: gRPC, HTTP."""
    listen, grace = plan.settings, plan.settings.grace_seconds
    async with serve_http(plan.app, listen.http_listen, grace_seconds=grace) as http_address:
        plan.webhooks.opened(http_address)  # before anybody can ask for it
        async with serve(
            listen.grpc_listen, plan.services, interceptors=plan.interceptors, grace_seconds=grace
        ) as grpc_door:
            _warn_of_plaintext(grpc=grpc_door.address, http=http_address)
            yield grpc_door.address, http_address


def _warn_of_plaintext(**doors: str) -> None:
    """Says once which doors take bearer tokens in clear from other machines; TLS is a proxy's work."""
    exposed = {name: at for name, at in doors.items() if not is_loopback(at.rpartition(":")[0])}
    if exposed:
        log.warning("door.plaintext", **exposed, hint="Put a TLS proxy in front, and listen on loopback.")
