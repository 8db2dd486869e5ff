"""Migrations run once, in order, from any number of processes, and never change afterwards."""

from __future__ import annotations

import asyncio

import pytest

from services.kernel.db import open_pool
from services.kernel.errors import ServiceError
from services.kernel.migrate import lacking, load_migrations, migrate
from services.kernel.sql import load_queries
from services.schemas import SCHEMAS


async def test_processes_that_start_together_migrate_once(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        applied = await asyncio.gather(
            *(migrate(pool, schema="scanner", package="services.scanner") for _ in range(4))
        )
    assert sum(applied) == len(load_migrations("services.scanner"))


async def test_what_a_schema_lacks_is_told_without_changing_it(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        every = load_migrations("services.scanner")
        for _ in range(2):
            assert await lacking(pool, schema="scanner", package="services.scanner") == every
        await migrate(pool, schema="scanner", package="services.scanner")
        assert await lacking(pool, schema="scanner", package="services.scanner") == ()
        assert await lacking(pool, schema="rules", package="services.rules") == load_migrations("services.rules")


async def test_a_schema_that_is_ahead_lacks_nothing_and_is_left_alone(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        await migrate(pool, schema="scanner", package="services.scanner")
        await pool.execute("INSERT INTO migrations.applied VALUES ('scanner', 9999, 'of_tomorrow', 'sha')")
        assert await lacking(pool, schema="scanner", package="services.scanner") == ()
        assert await migrate(pool, schema="scanner", package="services.scanner") == 0


async def test_a_migration_that_was_changed_after_it_was_applied_is_refused(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        await migrate(pool, schema="scanner", package="services.scanner")
        await pool.execute("UPDATE migrations.applied SET sha256 = 'other'")
        with pytest.raises(ServiceError, match="another text"):
            await migrate(pool, schema="scanner", package="services.scanner")


async def test_every_named_query_of_every_service_is_valid_sql(empty_database: str) -> None:
    async with open_pool(empty_database, application_name="tests") as pool:
        for schema, package in SCHEMAS:
            await migrate(pool, schema=schema, package=package)
        async with pool.acquire() as connection:
            for _, package in SCHEMAS:
                for name, statement in load_queries(package).items():
                    try:
                        await connection.prepare(statement)
                    except Exception as error:
                        raise AssertionError(f"{package}: {name}") from error
