"""One service as a process: the counterpart of `services.standalone`, with peers met over gRPC.

A process imports its own service and no other, which is why each builder begins with its imports: it starts
sooner and keeps less memory.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from services.kernel.ground import Ground
from services.kernel.monitoring import serve_monitoring
from services.kernel.outages import through_outages
from services.kernel.rpc.inner import check_listen, serve_inner
from services.kernel.rpc.interceptors import RpcMetrics
from services.kernel.rpc.peer import Peer, PeerMetrics
from services.kernel.rpc.server import Service
from services.kernel.run import Process
from services.kernel.secrets import SecretBox, load_key
from services.processes.ground import open_ground
from services.processes.peers import open_peers
from services.processes.plan import Plan
from services.processes.roles import Role

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a running process can be reached."""

    grpc: str
    http: str
    """Empty for all but the gateway."""
    monitoring: str


@asynccontextmanager
async def compose(process: Process, plan: Plan) -> AsyncIterator[Running | None]:
    """Builds the process of a role; None when it is told to stop before its database is ready.

    It is watched from the first moment, waits for database and schema, and starts no work before. Its parts close
    in the reverse order; the process's tasks must have returned by then.

    Raises:
        ServiceError: what stands in the way, such as INNER_DOOR_UNGUARDED or ADDRESS_NOT_AVAILABLE.
    """
    # Besides the service's own part, which is ready before its door is open and its key made.
    ready = process.readiness.add("start")
    if plan.role is not Role.GATEWAY:
        check_listen(plan.process.grpc_listen(plan.role), plan.identity)
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        monitoring = await stack.enter_async_context(
            serve_monitoring(process.readiness, registry, plan.monitoring_listen)
        )
        ground = await stack.enter_async_context(open_ground(process, plan, registry))
        if ground is None:
            yield None
            return
        peers = await open_peers(stack, process, plan, PeerMetrics(registry))
        running = await _BUILDERS[plan.role](stack, ground, plan, peers)
        ready.set(True)
        running = dataclasses.replace(running, monitoring=monitoring)
        log.info("process.started", role=plan.role.value, **dataclasses.asdict(running))
        yield running


async def _rules(stack: AsyncExitStack, ground: Ground, plan: Plan, peers: dict[Role, Peer]) -> Running:
    from services.notifier.client import NotifierClient
    from services.rules import servicer as rules_door
    from services.rules import wiring as rules
    from services.rules.settings import RulesSettings

    api = await stack.enter_async_context(
        rules.server(
            ground, notifier=NotifierClient(peers[Role.NOTIFIER]), box=_box(plan), settings=RulesSettings()
        )
    )
    return await _open_inner(ground, plan, rules_door.inner_services(api))


async def _scanner(stack: AsyncExitStack, ground: Ground, plan: Plan, peers: dict[Role, Peer]) -> Running:
    from services.rules.client import RulesClient
    from services.scanner import servicer as scanner_door
    from services.scanner.settings import ScannerSettings
    from services.scanner.wiring import server as scanner

    api = await stack.enter_async_context(
        scanner.server(
            ground,
            rules=RulesClient(peers[Role.RULES]),
            box=_box(plan),
            data=plan.kernel.data_dir,
            settings=ScannerSettings(),
        )
    )
    return await _open_inner(ground, plan, scanner_door.inner_services(api))


async def _fixer(stack: AsyncExitStack, ground: Ground, plan: Plan, peers: dict[Role, Peer]) -> Running:
    from services.fixer import servicer as fixer_door
    from services.fixer import wiring as fixer
    from services.fixer.settings import FixerSettings
    from services.rules.client import RulesClient
    from services.scanner.client import ScannerClient

    settings, start = FixerSettings(), stack.enter_async_context
    rules_api, scanner_api = RulesClient(peers[Role.RULES]), ScannerClient(peers[Role.SCANNER])
    data = plan.kernel.data_dir
    data.mkdir(parents=True, exist_ok=True)
    work = await start(fixer.open_work(ground, rules=rules_api, scanner=scanner_api, data=data, settings=settings))
    api = await start(fixer.server(ground, rules=rules_api, scanner=scanner_api, work=work, settings=settings))
    return await _open_inner(ground, plan, fixer_door.inner_services(api))


async def _notifier(stack: AsyncExitStack, ground: Ground, plan: Plan, peers: dict[Role, Peer]) -> Running:
    from services.notifier import servicer as notifier_door
    from services.notifier import wiring as notifier
    from services.notifier.settings import NotifierSettings
    from services.scanner.client import ScannerClient

    settings = NotifierSettings()
    api = await stack.enter_async_context(notifier.server(ground, box=_box(plan), settings=settings))
    notifier.ask_scanner(ground, scanner=ScannerClient(peers[Role.SCANNER]), settings=settings)
    return await _open_inner(ground, plan, notifier_door.inner_services(api))


async def _gateway(stack: AsyncExitStack, ground: Ground, plan: Plan, peers: dict[Role, Peer]) -> Running:
    from services.fixer.client import FixerClient
    from services.gateway import wiring as gateway
    from services.notifier.client import NotifierClient
    from services.rules.client import RulesClient
    from services.scanner.client import ScannerClient

    doors = await stack.enter_async_context(
        gateway.server(
            ground,
            rules=RulesClient(peers[Role.RULES]),
            scanner=ScannerClient(peers[Role.SCANNER]),
            fixer=FixerClient(peers[Role.FIXER]),
            notifier=NotifierClient(peers[Role.NOTIFIER]),
            box=_box(plan),
            settings=plan.gateway,
        )
    )
    if (token_file := plan.process.admin_token_file) is not None:
        await through_outages(lambda: doors.keys.bootstrap_admin(token_file), ground.process.stopping)
    else:
        log.info("gateway.keys_as_they_are", hint="DRYDOCK_ADMIN_TOKEN_FILE makes the administrator's key.")
    return Running(grpc=doors.grpc, http=doors.http, monitoring="")


_BUILDERS = {
    Role.RULES: _rules,
    Role.SCANNER: _scanner,
    Role.FIXER: _fixer,
    Role.NOTIFIER: _notifier,
    Role.GATEWAY: _gateway,
}


def _box(plan: Plan) -> SecretBox:
    data = plan.kernel.data_dir
    data.mkdir(parents=True, exist_ok=True)
    return SecretBox(load_key(plan.kernel.secret_key.get_secret_value(), data / "secret.key"))


async def _open_inner(ground: Ground, plan: Plan, services: Sequence[Service]) -> Running:
    door = serve_inner(
        plan.process.grpc_listen(plan.role),
        services,
        identity=plan.identity,
        ids=ground.ids,
        metrics=RpcMetrics(ground.registry),
        # Calls under way get nearly all of the time to drain: what is cut off at its end has no answer.
        grace_seconds=max(plan.kernel.drain_seconds - 1.0, 0.0),
    )
    return Running(grpc=(await ground.process.hold("inner door", door)).address, http="", monitoring="")
