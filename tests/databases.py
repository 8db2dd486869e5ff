"""Real databases for tests: one embedded PostgreSQL for the session, a fresh database for each test."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from services.kernel.db import Pool, open_pool
from services.kernel.embedded.account import root_home_of
from services.kernel.embedded.postgres import embedded_postgres

_numbers = itertools.count(1)


@contextmanager
def session_server(folder: Path) -> Iterator[str]:
    """Runs a PostgreSQL on a loop of its own, since it outlives the loop of every test; yields its URL."""
    url: list[str] = []
    started, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        async with embedded_postgres(folder) as running:
            url.append(running)
            started.set()
            await asyncio.to_thread(stop.wait)

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failures.append(error)
        finally:
            started.set()

    thread = threading.Thread(target=work, name="postgres", daemon=True)
    thread.start()
    started.wait()
    if failures:
        raise failures[0]
    try:
        yield url[0]
    finally:
        stop.set()
        thread.join()
        shutil.rmtree(root_home_of(folder), ignore_errors=True)


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """Makes an empty database, yields its URL, and drops it."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f"CREATE DATABASE {name}")
        try:
            yield server_url.replace("/drydock?", f"/{name}?")
        finally:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        await admin.close()


@asynccontextmanager
async def migrated_pool(url: str, *schemas: tuple[str, str]) -> AsyncIterator[Pool]:
    """Opens a pool on a database whose schemas, given as (schema, package), are up to date."""
    from services.kernel.migrate import migrate

    async with open_pool(url, application_name="tests") as pool:
        for schema, package in schemas:
            await migrate(pool, schema=schema, package=package)
        yield pool
