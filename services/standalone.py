"""All services in one process: the same applications, met directly instead of over gRPC."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from services.fixer import wiring as fixer
from services.fixer.settings import FixerSettings
from services.gateway import wiring as gateway
from services.gateway.settings import GatewaySettings
from services.kernel.bus.open import open_bus
from services.kernel.database_clock import open_clock
from services.kernel.db import open_pool
from services.kernel.embedded.postgres import embedded_postgres
from services.kernel.ground import Ground
from services.kernel.ids import RandomIds
from services.kernel.migrate import migrate
from services.kernel.monitoring import serve_monitoring
from services.kernel.outages import through_outages
from services.kernel.run import Process
from services.kernel.secrets import SecretBox, load_key
from services.kernel.settings import KernelSettings
from services.kernel.wakeup import Wakeups
from services.notifier import wiring as notifier
from services.notifier.settings import NotifierSettings
from services.rules import wiring as rules
from services.rules.settings import RulesSettings
from services.scanner.settings import ScannerSettings
from services.scanner.wiring import server as scanner
from services.schemas import schemas_needed
from services.settings import check_environment

log = structlog.get_logger()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """Where a running Drydock can be reached."""

    grpc: str
    http: str
    monitoring: str
    admin_token_file: Path


@asynccontextmanager
async def compose(
    process: Process, settings: KernelSettings, gateway_settings: GatewaySettings
) -> AsyncIterator[Running]:
    """Builds everything: database, bus, the five services and the gateway's doors.

    Parts close in the reverse order; the process's tasks must have returned by then.

    Raises:
        ServiceError: what stands in the way, such as DATA_FOLDER_IN_USE or ADDRESS_NOT_AVAILABLE.
    """
    check_environment()
    ready = process.readiness.add("standalone")
    data = settings.data_dir
    data.mkdir(parents=True, exist_ok=True)
    ids = RandomIds()
    box = SecretBox(load_key(settings.secret_key.get_secret_value(), data / "secret.key"))
    registry = CollectorRegistry()
    async with AsyncExitStack() as stack:
        # Monitoring outlives all else: while the process starts and drains, `/readyz` says so.
        monitoring = await stack.enter_async_context(
            serve_monitoring(process.readiness, registry, gateway_settings.monitoring_listen)
        )
        url = settings.database_url or await stack.enter_async_context(embedded_postgres(data))
        pool = await stack.enter_async_context(open_pool(url, application_name="drydock", max_size=20))
        for schema, package in schemas_needed(settings):
            await migrate(pool, schema=schema, package=package)
        wakeups = Wakeups(url)
        process.start("wakeups", wakeups.run(process.stopping))
        clock = await stack.enter_async_context(open_clock(process, pool))
        bus = await stack.enter_async_context(
            open_bus(
                process,
                settings,
                pool=pool,
                url=url,
                wakeups=wakeups,
                clock=clock,
                ids=ids,
                registry=registry,
                may_embed=True,
            )
        )
        ground = Ground(
            process=process,
            url=url,
            pool=pool,
            bus=bus,
            wakeups=wakeups,
            clock=clock,
            ids=ids,
            registry=registry,
        )
        start = stack.enter_async_context
        notifier_api = await start(notifier.server(ground, box=box, settings=NotifierSettings()))
        rules_api = await start(rules.server(ground, notifier=notifier_api, box=box, settings=RulesSettings()))
        scanner_api = await start(
            scanner.server(ground, rules=rules_api, box=box, data=data, settings=ScannerSettings())
        )
        notifier.ask_scanner(ground, scanner=scanner_api, settings=NotifierSettings())
        fixer_settings = FixerSettings()
        work = await start(
            fixer.open_work(ground, rules=rules_api, scanner=scanner_api, data=data, settings=fixer_settings)
        )
        fixer_api = await start(
            fixer.server(ground, rules=rules_api, scanner=scanner_api, work=work, settings=fixer_settings)
        )
        doors = await start(
            gateway.server(
                ground,
                rules=rules_api,
                scanner=scanner_api,
                fixer=fixer_api,
                notifier=notifier_api,
                box=box,
                settings=gateway_settings,
            )
        )
        admin_token_file = data / "admin.token"
        await through_outages(lambda: doors.keys.bootstrap_admin(admin_token_file), process.stopping)
        ready.set(True)
        log.info("standalone.started", grpc=doors.grpc, http=doors.http, data=str(data))
        yield Running(
            grpc=doors.grpc,
            http=doors.http,
            monitoring=monitoring,
            admin_token_file=admin_token_file,
        )
