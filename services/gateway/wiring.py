"""Builds the gateway and opens its doors."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

import grpc
import structlog
from starlette.types import ASGIApp

from services.fixer.api import FixerApi
from services.gateway.access_keys import AccessKeys
from services.gateway.acr.caller import Callers
from services.gateway.acr.door import MAX_HEAD_BYTES, SERVICE, AcrDoor
from services.gateway.acr.nonces import Nonces
from services.gateway.acr.servicer import ContainerRegistryServicer
from services.gateway.audit import AuditInterceptor, AuditLog
from services.gateway.auth import BearerGuard
from services.gateway.dead_letters import DeadLetters
from services.gateway.editions import EditionInterceptor, Editions
from services.gateway.grpc import public_services
from services.gateway.harbor.adapter import HarborAdapter
from services.gateway.harbor.registries import Registries
from services.gateway.http import http_app
from services.gateway.keys import Keys
from services.gateway.rates import Rates
from services.gateway.reach.fixer import FixerInReach
from services.gateway.reach.limits import Reach
from services.gateway.reach.rules import RulesInReach
from services.gateway.reach.scanner import ScannerInReach
from services.gateway.retention import agings
from services.gateway.settings import GatewaySettings
from services.gateway.store import GatewayStore
from services.gateway.tls import DoorTls, open_tls
from services.gateway.tokens import TokenChecker
from services.gateway.webhooks.address import WebhookAddress
from services.gateway.webhooks.open import open_webhooks
from services.kernel.addresses import is_loopback
from services.kernel.disk_use import DiskUse
from services.kernel.ground import Ground
from services.kernel.retention import Retention, every
from services.kernel.rpc.interceptors import CallInterceptor, RpcMetrics
from services.kernel.rpc.server import Service, serve
from services.kernel.secrets import SecretBox
from services.kernel.webserver import serve_http
from services.notifier.api import NotifierApi
from services.rules.api import RulesApi
from services.scanner.api import ScannerApi

log = structlog.get_logger()

_PLAINTEXT_HINT = (
    "Set DRYDOCK_GATEWAY_TLS_CERT_FILE and …_KEY_FILE; or put a TLS proxy in front, and listen on loopback."
)
_NONCES_SECONDS = 60.0
"""Between two looks at nonces that can be forgotten."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Where the gateway listens, as really bound, and its keys."""

    grpc: str
    http: str
    keys: Keys
    """AdminApi, and `bootstrap_admin` for whoever starts the process."""


@asynccontextmanager
async def server(
    ground: Ground,
    *,
    rules: RulesApi,
    scanner: ScannerApi,
    fixer: FixerApi,
    notifier: NotifierApi,
    box: SecretBox,
    settings: GatewaySettings,
) -> AsyncIterator[Doors]:
    """Opens the doors and yields where they are; they close as soon as the process is stopping.

    Raises:
        ServiceError: ADDRESS_NOT_AVAILABLE; TLS_INCOMPLETE, TLS_FILE_UNREADABLE, TLS_FILE_INVALID.
    """
    process, pool, clock, ids = ground.process, ground.pool, ground.clock, ground.ids

    everything = rules

    async def find_instance(instance: str) -> str:
        return (await everything.get_instance(instance)).instance_id

    store = GatewayStore()
    rates = Rates(clock, per_second=settings.calls_per_second, burst=settings.calls_burst)
    checker = TokenChecker(pool, store, clock, rates)
    access_keys = AccessKeys(pool=pool, store=store, box=box, clock=clock)
    keys = Keys(
        pool=pool,
        store=store,
        checker=checker,
        access_keys=access_keys,
        find_instance=find_instance,
        clock=clock,
        ids=ids,
    )
    # From here on nobody behind a door meets the services themselves, but what the caller's key reaches of them.
    reach = Reach(everything)
    rules = RulesInReach(everything, reach)
    scanner = ScannerInReach(scanner, rules, reach)
    editions = Editions(rules, clock)
    webhooks = WebhookAddress(settings.public_url)
    audit = AuditLog(pool, store, everything, clock)
    acr = ContainerRegistryServicer(
        pool=pool,
        rules=rules,
        scanner=scanner,
        notifier=notifier,
        editions=editions,
        in_reach=reach.has,
        clock=clock,
        ids=ids,
    )
    services = public_services(
        acr=acr,
        rules=rules,
        scanner=scanner,
        fixer=FixerInReach(fixer, reach),
        notifier=notifier,
        admin=keys,
        letters=DeadLetters(ground.bus),
        audit=audit,
        webhooks=webhooks,
    )
    interceptor = CallInterceptor(
        guard=BearerGuard(checker),
        ids=ids,
        metrics=RpcMetrics(ground.registry),
        default_deadline_seconds=settings.call_deadline_seconds,
    )
    nonces = Nonces(pool, store, clock)
    noted = AuditInterceptor(audit)
    acr_door = AcrDoor(
        {
            name: noted.noted(f"/{SERVICE.full_name}/{name}", getattr(acr, name))
            for name in SERVICE.methods_by_name
        },
        Callers(access_keys=access_keys, checker=checker, nonces=nonces, rates=rates),
        deadline_seconds=settings.call_deadline_seconds,
    )
    harbor = HarborAdapter(
        checker=checker,
        editions=editions,
        rules=rules,
        scanner=scanner,
        registries=Registries(settings.harbor_registries),
        audit=audit,
        clock=clock,
        deadline_seconds=settings.harbor_deadline_seconds,
    )
    retention = Retention(
        "gateway",
        agings(settings),
        pool=pool,
        clock=clock,
        batch=settings.cleanup_batch,
        registry=ground.registry,
    )
    cleaning = every(
        settings.cleanup_interval_seconds, retention.clean, process.stopping, name="gateway.retention"
    )
    process.start("gateway.retention", cleaning)
    process.start("gateway.disk_use", DiskUse("gateway", pool, ground.registry).run(process.stopping))
    process.start("gateway.nonces", every(_NONCES_SECONDS, nonces.forget, process.stopping, name="gateway.nonces"))
    async with open_webhooks(
        ground, store=store, checker=checker, editions=editions, settings=settings
    ) as webhook_door:
        plan = _Plan(
            settings=settings,
            services=services,
            interceptors=(interceptor, EditionInterceptor(editions, clock), noted),
            app=http_app(
                acr=acr_door,
                webhooks=webhook_door,
                ids=ids,
                parts=[harbor],
                max_request_bytes=settings.max_request_bytes,
            ),
            webhooks=webhooks,
            tls=open_tls(settings),
        )
        if plan.tls is not None:
            process.start("gateway.certificates", plan.tls.watch(process.stopping))
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
    app: ASGIApp
    webhooks: WebhookAddress
    tls: DoorTls | None


@asynccontextmanager
async def _doors(plan: _Plan) -> AsyncIterator[tuple[str, str]]:
    """Opens both doors and yields where: gRPC, HTTP."""
    listen, grace = plan.settings, plan.settings.grace_seconds
    tls = plan.tls
    context = tls.http_context() if tls is not None else None
    async with serve_http(
        plan.app, listen.http_listen, grace_seconds=grace, max_head_bytes=MAX_HEAD_BYTES, tls=context
    ) as http_address:
        plan.webhooks.opened(http_address, tls=tls is not None)  # before anybody can ask for it
        async with serve(
            listen.grpc_listen,
            plan.services,
            interceptors=plan.interceptors,
            grace_seconds=grace,
            credentials=tls.grpc_credentials() if tls is not None else None,
            max_request_bytes=listen.max_request_bytes,
        ) as grpc_door:
            if tls is None:
                _warn_of_plaintext(grpc=grpc_door.address, http=http_address)
            yield grpc_door.address, http_address


def describe_doors(settings: GatewaySettings, now: datetime) -> str:
    """Says where the doors would be, and what they would speak.

    Raises:
        ServiceError: what is wrong with the certificates.
    """
    tls = open_tls(settings)
    return f"{settings.grpc_listen} and {settings.http_listen}, {tls.describe(now) if tls else 'plain text'}"


def _warn_of_plaintext(**doors: str) -> None:
    """Says once which doors take bearer tokens in clear from other machines."""
    exposed = {name: at for name, at in doors.items() if not is_loopback(at.rpartition(":")[0])}
    if exposed:
        log.warning("door.plaintext", **exposed, hint=_PLAINTEXT_HINT)
