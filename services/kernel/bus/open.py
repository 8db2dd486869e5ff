"""Opens the bus that the settings name: PostgreSQL's, Kafka's, or Kafka with a broker of our own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from services.kernel.bus.interface import Bus
from services.kernel.bus.joined import JoinedBus
from services.kernel.bus.kafka_settings import KafkaSettings
from services.kernel.bus.metered import MeteredBus
from services.kernel.bus.postgres import PostgresBus
from services.kernel.bus.retention import keep_days
from services.kernel.clock import Clock
from services.kernel.db import Pool
from services.kernel.disk_use import DiskUse
from services.kernel.errors import ServiceError, invalid
from services.kernel.ids import Ids
from services.kernel.run import Process
from services.kernel.settings import EMBEDDED, KernelSettings
from services.kernel.wakeup import Wakeups


def needs_schema(settings: KernelSettings) -> bool:
    """Tells whether the bus lies in PostgreSQL: then the schema `bus` must be up to date."""
    return not settings.kafka


@asynccontextmanager
async def open_bus(
    process: Process,
    settings: KernelSettings,
    *,
    pool: Pool,
    url: str,
    wakeups: Wakeups,
    clock: Clock,
    ids: Ids,
    registry: CollectorRegistry,
    may_embed: bool = False,
) -> AsyncIterator[Bus]:
    """Opens the bus with its metrics, starts what it needs in the process, and closes it at exit.

    Args:
        process: measures lags, and cuts what PostgreSQL keeps, until it stops; not ready while a group is lost.
        settings: `kafka` decides which bus it is.
        pool: where the bus over PostgreSQL lives, with `url` and `wakeups` of the same database.
        may_embed: this process is the only one, and may start a broker of its own.

    Raises:
        ServiceError: EMBEDDED_KAFKA_NOT_HERE, or what the broker or the brokers are missing.
    """
    async with AsyncExitStack() as stack:
        bus: Bus
        if needs_schema(settings):
            days = settings.bus_retention_days
            process.start("bus retention", keep_days(pool, clock, process.stopping, days=days))
            process.start("bus disk use", DiskUse("bus", pool, registry).run(process.stopping))
            bus = PostgresBus(pool, url, wakeups, ids)
        else:
            bus = await stack.enter_async_context(_kafka(settings, may_embed))
        metered = MeteredBus(bus, registry)
        process.start("bus lag", metered.watch(process.stopping))
        yield JoinedBus(metered, process.readiness)


@asynccontextmanager
async def _kafka(settings: KernelSettings, may_embed: bool) -> AsyncIterator[Bus]:
    # Imported here: a process on the bus over PostgreSQL need not load what Kafka takes.
    from services.kernel.bus.kafka import open_kafka_bus  # noqa: PLC0415

    async with AsyncExitStack() as stack:
        servers, kafka = settings.kafka, KafkaSettings()
        if servers == EMBEDDED:
            if not may_embed:
                raise embedded_not_here()
            from services.kernel.embedded.kafka import embedded_kafka  # noqa: PLC0415

            broker = await stack.enter_async_context(embedded_kafka(settings.data_dir, jars=kafka.jars_dir))
            servers, kafka = broker.servers, broker.settings
        yield await stack.enter_async_context(
            open_kafka_bus(servers, kafka, keep_days=settings.bus_retention_days)
        )


def embedded_not_here() -> ServiceError:
    """The error of asking a process that is one of several for a broker of its own."""
    return invalid(
        "EMBEDDED_KAFKA_NOT_HERE",
        "Only `drydock up` starts a Kafka broker of its own.",
        field="DRYDOCK_KAFKA",
        hint="Name the brokers: DRYDOCK_KAFKA=HOST:PORT,HOST:PORT.",
    )
