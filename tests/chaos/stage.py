"""All that a run needs: broker, database, processes, registries that push, and a receiver that is told."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg

from services.kernel.bus.interface import Bus
from services.kernel.bus.kafka import open_kafka_bus
from services.kernel.bus.postgres import PostgresBus
from services.kernel.db import Pool, open_pool
from services.kernel.ids import RandomIds
from services.kernel.model.access import RegistryAccess
from services.kernel.wakeup import Wakeups
from services.lab.receiver import Receiver, serve_receiver
from tests.buses import SessionBroker, session_broker
from tests.chaos.crew import ROLES, Crew, crew_of
from tests.chaos.database import Database, killable_database
from tests.chaos.fixes.depot import Depot, serve_depot, trust
from tests.processes import fleet
from tests.registries import RunningRegistry, lab_registry
from tests.running import Client, client_of

NOWHERE = RegistryAccess(address="127.0.0.1:1", plain_http=True)
_IMPATIENT = {
    "notifier_attempt_seconds": "2",
    "notifier_lease_margin_seconds": "5",
    "notifier_retry_longest_seconds": "5",
    "scanner_retry_longest_seconds": "5",
    "fixer_lease_seconds": "3",
    "fixer_retry_first_seconds": "1",
    "fixer_retry_longest_seconds": "5",
    "kafka_session_seconds": "6",
    "kafka_patience_seconds": "120",
    "log_level": "info",
}
"""Deadlines of a minute would make a run of an hour; what is decided by them stays the same.

Who starts without a broker ends after half a minute, as it should: just as long as the broker is away.
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An instance and its registry."""

    instance_id: str
    registry: RunningRegistry


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A Drydock that runs and is restarted, and everything around it."""

    folder: Path
    database: Database
    broker: SessionBroker | None
    """None: PostgreSQL is the bus, too."""
    crew: Crew
    places: tuple[Place, ...]
    receivers: tuple[Receiver, ...]
    target_ids: tuple[str, ...]
    depot: Depot

    @asynccontextmanager
    async def bus(self, pool: Pool) -> AsyncIterator[Bus]:
        """Opens the bus that the processes use, to look into it."""
        if self.broker is None:
            yield PostgresBus(pool, self.database.url, Wakeups(self.database.url), RandomIds())
            return
        async with open_kafka_bus(self.broker.servers, self.broker.settings, keep_days=1) as bus:
            yield bus

    @asynccontextmanager
    async def pool(self) -> AsyncIterator[asyncpg.Pool[asyncpg.Record]]:
        """Opens connections of our own, past all lines."""
        async with open_pool(self.database.url, application_name="chaos", max_size=4) as pool:
            yield pool


@asynccontextmanager
async def staged(
    folder: Path, *, kafka: bool, roles: Sequence[str] = ROLES, instances: int = 3
) -> AsyncIterator[Stage]:
    """Sets everything up, on empty folders, until the end of the block."""
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(killable_database(folder / "postgres"))
        broker = stack.enter_context(session_broker(folder / "kafka")) if kafka else None
        if broker is not None:
            await broker.ready()
        settings = {**_IMPATIENT, **(_kafka_settings(broker) if broker is not None else {})}
        planned = await stack.enter_async_context(fleet(folder, database.url, *roles, **settings))
        await planned.migrate()
        depot = await stack.enter_async_context(serve_depot())
        trust(depot, next(served.data for served in planned.served if served.role == "fixer"))
        crew = await stack.enter_async_context(crew_of(planned, database, folder))
        receivers = tuple([await stack.enter_async_context(serve_receiver()) for _ in range(2)])
        client = await stack.enter_async_context(client_of(planned.running))
        target_ids = tuple(
            [await client.target(receiver.url, f"receiver-{n}") for n, receiver in enumerate(receivers)]
        )
        places = [await _place(stack, client, f"registry-{n}", target_ids) for n in range(instances)]
        yield Stage(
            folder=folder,
            database=database,
            broker=broker,
            crew=crew,
            places=tuple(places),
            receivers=receivers,
            target_ids=target_ids,
            depot=depot,
        )


@asynccontextmanager
async def scratch_stage(*, kafka: bool, roles: Sequence[str] = ROLES) -> AsyncIterator[Stage]:
    """Sets everything up below a folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="drydock-chaos-", ignore_cleanup_errors=True) as folder:
        async with staged(Path(folder), kafka=kafka, roles=roles) as stage:
            yield stage


async def _place(stack: AsyncExitStack, client: Client, name: str, target_ids: tuple[str, ...]) -> Place:
    instance_id = await client.instance(NOWHERE, name, default_rule=False)
    await client.rule(instance_id, *target_ids)
    registry = await stack.enter_async_context(lab_registry(notify=await client.webhook(instance_id)))
    await client.move(instance_id, registry.access.address)
    return Place(instance_id=instance_id, registry=registry)


def _kafka_settings(broker: SessionBroker) -> dict[str, str]:
    settings = broker.settings
    return {
        "kafka": broker.servers,
        "kafka_security": settings.security,
        "kafka_sasl_mechanism": settings.sasl_mechanism,
        "kafka_username": settings.username,
        "kafka_password": settings.password.get_secret_value(),
    }
