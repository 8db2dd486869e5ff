"""What every process of its own stands on: watched from the first moment, opened once the database is ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import structlog
from prometheus_client import CollectorRegistry

from services.kernel.bus.open import open_bus
from services.kernel.database_clock import open_clock
from services.kernel.db import Pool, is_outage, open_pool
from services.kernel.errors import Kind, ServiceError
from services.kernel.ground import Ground
from services.kernel.ids import RandomIds
from services.kernel.migrate import lacking
from services.kernel.run import Part, Process
from services.kernel.wakeup import Wakeups, wait
from services.processes.plan import Plan
from services.schemas import Schema, schemas_needed

log = structlog.get_logger()

_LOOK_SECONDS = 1.0
_PROBE_SECONDS = 2.0


@asynccontextmanager
async def open_ground(process: Process, plan: Plan, registry: CollectorRegistry) -> AsyncIterator[Ground | None]:
    """Waits for the database and its schemas, as long as it takes, and yields the ground.

    None, when the process is told to stop first.

    Raises:
        ServiceError: INVALID_DATABASE_URL, MIGRATION_CHANGED, or another thing that waiting does not mend.
    """
    settings, ids = plan.kernel, RandomIds()
    url = settings.database_url
    database, schema = process.readiness.add("database"), process.readiness.add("schema")
    if not await _answering(url, database, process.stopping):
        yield None
        return
    size = plan.process.database_connections
    async with open_pool(url, application_name=f"drydock {plan.role.value}", max_size=size) as pool:
        if not await _current(pool, schemas_needed(settings), schema, process.stopping):
            yield None
            return
        process.start("database probe", _watch(pool, database, process.stopping))
        wakeups = Wakeups(url)
        process.start("wakeups", wakeups.run(process.stopping))
        async with (
            open_clock(process, pool) as clock,
            open_bus(
                process, settings, pool=pool, url=url, wakeups=wakeups, clock=clock, ids=ids, registry=registry
            ) as bus,
        ):
            yield Ground(
                process=process,
                url=url,
                pool=pool,
                bus=bus,
                wakeups=wakeups,
                clock=clock,
                ids=ids,
                registry=registry,
            )


async def behind(pool: Pool, schemas: Sequence[Schema]) -> dict[str, str]:
    """Returns the first migration that each schema lacks, by schema; empty when all are up to date or ahead.

    Raises:
        ServiceError: MIGRATION_CHANGED.
    """
    missing = {schema: await lacking(pool, schema=schema, package=package) for schema, package in schemas}
    return {schema: f"{found[0].number:04}_{found[0].name}" for schema, found in missing.items() if found}


async def _answering(url: str, part: Part, stopping: asyncio.Event) -> bool:
    """Waits until the database answers; returns False when the process is to stop before."""
    while not stopping.is_set():
        try:
            async with open_pool(url, application_name="drydock waits", max_size=1, patience_seconds=0):
                part.set(True)
                return True
        except ServiceError as error:
            if error.kind is not Kind.UNAVAILABLE:
                raise
            part.set(False, error.message)
            log.warning("database.awaited", reason=error.reason)
            await wait(stopping, _LOOK_SECONDS)
    return False


async def _current(pool: Pool, schemas: Sequence[Schema], part: Part, stopping: asyncio.Event) -> bool:
    """Waits until somebody has migrated; returns False when the process is to stop before."""
    told = False
    while not stopping.is_set():
        try:
            missing = await behind(pool, schemas)
        except Exception as error:
            if isinstance(error, ServiceError) or not is_outage(error):
                raise
            part.set(False, "the database does not answer")
        else:
            if not missing:
                part.set(True)
                return True
            lag = ", ".join(f"{schema} lacks {name}" for schema, name in missing.items())
            part.set(False, f"{lag}: run `drydock migrate`")
            if not told:
                log.warning("schema.awaited", lacking=missing, hint="Run `drydock migrate`.")
                told = True
        await wait(stopping, _LOOK_SECONDS)
    return False


async def _watch(pool: Pool, part: Part, stopping: asyncio.Event) -> None:
    """Says whether the database answers, until `stopping`."""
    while not await wait(stopping, _PROBE_SECONDS):
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await pool.execute("SELECT 1")
        except Exception as error:
            if not is_outage(error):
                raise
            part.set(False, "the database does not answer")
        else:
            part.set(True)
