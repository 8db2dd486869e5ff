"""Real databases for tests: one embedded PostgreSQL for the session, and databases on it."""

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
from services.kernel.migrate import migrate

_numbers = itertools.count(1)


@contextmanager
def session_server(folder: Path) -> Iterator[str]:
    """Runs a PostgreSQL on a loop of its own, since it outlives the loop of every test; yields its URL."""
    url: list[str] = []
    started, stop = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def serve() -> None:
        async with embedded_postgres(folder) as running:
            await _careless(running)
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


async def _careless(server_url: str) -> None:
    """Lets it forget everything when the machine dies: processes may, and nothing else does during tests."""
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute("ALTER SYSTEM SET fsync = off")
        await admin.execute("SELECT pg_reload_conf()")
    finally:
        await admin.close()


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """Makes an empty database, yields its URL, and drops it."""
    url = await created_database(server_url)
    try:
        yield url
    finally:
        await dropped_database(server_url, url)


@asynccontextmanager
async def migrated_pool(url: str, *schemas: tuple[str, str]) -> AsyncIterator[Pool]:
    """Opens a pool on a database whose schemas, given as (schema, package), are up to date."""
    async with open_pool(url, application_name="tests") as pool:
        for schema, package in schemas:
            await migrate(pool, schema=schema, package=package)
        yield pool


async def created_database(server_url: str, *, like: str = "template1") -> str:
    """Makes a database, empty or a copy of another one to which nobody is connected; returns its URL."""
    name = f"test_{next(_numbers)}"
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
    finally:
        await admin.close()
    return server_url.replace("/drydock?", f"/{name}?")


async def dropped_database(server_url: str, url: str) -> None:
    """Drops a database; who is connected to it is cut off."""
    admin = await asyncpg.connect(server_url)
    try:
        await admin.execute(f"DROP DATABASE {database_name(url)} WITH (FORCE)")
    finally:
        await admin.close()


def database_name(url: str) -> str:
    """Returns what a database of the embedded server is called."""
    return url.partition("@/")[2].partition("?")[0]
