"""Databases that tests are lent: emptied after one, given to the next.

To make one takes a second of two cores: hundreds of tables and indexes, each a file. One that a test changed
beyond its rows is not lent again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from services.schemas import SCHEMAS
from tests.databases import created_database, database_name, dropped_database, migrated_pool

_MANY_PAGES = 128  # a table that was longer leaves statistics behind that plans of the next test would see
_TABLES = """
    SELECT class.oid::regclass::text AS name, pg_relation_size(class.oid) / 8192 AS pages
    FROM pg_class AS class JOIN pg_namespace AS space ON space.oid = class.relnamespace
    WHERE class.relkind = 'r' AND space.nspname !~ '^pg_|^information_schema$|^untouched$'
    ORDER BY 1
"""
_SHAPE = """
    SELECT md5(concat(
        (SELECT string_agg(concat(oid, relname, relkind, reloptions), ',' ORDER BY oid)
            FROM pg_class WHERE oid >= 16384 AND relkind <> 't'),
        (SELECT string_agg(concat(attrelid, attnum, attname, atttypid, attnotnull), ',' ORDER BY attrelid, attnum)
            FROM pg_attribute WHERE attrelid >= 16384),
        (SELECT string_agg(concat(oid, conname, convalidated), ',' ORDER BY oid) FROM pg_constraint),
        (SELECT string_agg(concat(oid, tgname, tgenabled), ',' ORDER BY oid) FROM pg_trigger),
        (SELECT string_agg(concat(oid, md5(prosrc), proconfig), ',' ORDER BY oid) FROM pg_proc WHERE oid >= 16384),
        (SELECT string_agg(concat(setrole, setconfig), ',' ORDER BY setrole) FROM pg_db_role_setting AS setting
            JOIN pg_database AS base ON base.oid = setting.setdatabase WHERE base.datname = current_database())
    ))
"""
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) AS name, last_value FROM pg_sequences ORDER BY 1"
_OTHERS = """
    SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Untouched:
    """What a database looks like before its first test."""

    shape: str
    sequences: frozenset[tuple[str, int | None]]
    rows: frozenset[tuple[str, str]]
    """Of the tables that migrations filled: their rows as a hash."""


class Databases:
    """Lends databases in which the schemas of every service are up to date."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url
        self._model: tuple[str, _Untouched] | None = None
        self._idle: list[str] = []

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[str]:
        """Yields the URL of a database that nobody else is lent, with no rows but those of migrations."""
        if self._model is None:
            self._model = await self._made()
        model, untouched = self._model
        url = self._idle.pop() if self._idle else await created_database(self._server_url, like=model)
        try:
            yield url
        finally:
            if await _cleaned(url, untouched):
                self._idle.append(url)
            else:
                await dropped_database(self._server_url, url)

    async def _made(self) -> tuple[str, _Untouched]:
        url = await created_database(self._server_url)
        async with migrated_pool(url, *SCHEMAS):
            pass
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("CREATE SCHEMA untouched")
            for table in await connection.fetch(_TABLES):
                if table["pages"]:
                    await connection.execute(f"CREATE TABLE {_copy_of(table['name'])} AS TABLE {table['name']}")
            return database_name(url), await _looked_at(connection)
        finally:
            await connection.close()


async def _cleaned(url: str, untouched: _Untouched) -> bool:
    """Empties a database; False where it is not again what it was."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_OTHERS)
        tables = {row["name"]: row["pages"] for row in await connection.fetch(_TABLES)}
        if max(tables.values(), default=0) > _MANY_PAGES:
            return False
        filled = {name for name, _ in untouched.rows}
        touched = [name for name, pages in tables.items() if pages and name not in filled]
        if touched:
            await connection.execute(f"TRUNCATE {', '.join(touched)} CASCADE")
        for name, rows in untouched.rows:
            if await _hash(connection, name) != rows:
                await connection.execute(f"TRUNCATE {name}; INSERT INTO {name} TABLE {_copy_of(name)}")
        before = dict(untouched.sequences)
        for row in await connection.fetch(_SEQUENCES):
            if row["last_value"] is not None and before.get(row["name"]) is None:
                await connection.execute(f"ALTER SEQUENCE {row['name']} RESTART")
        return await _looked_at(connection) == untouched
    finally:
        await connection.close()


def _copy_of(table: str) -> str:
    return f'untouched."{table}"'


async def _looked_at(connection: asyncpg.Connection[asyncpg.Record]) -> _Untouched:
    filled = [row["name"] for row in await connection.fetch(_TABLES) if row["pages"]]
    return _Untouched(
        shape=await connection.fetchval(_SHAPE),
        sequences=frozenset([(row["name"], row["last_value"]) for row in await connection.fetch(_SEQUENCES)]),
        rows=frozenset([(name, await _hash(connection, name)) for name in filled]),
    )


async def _hash(connection: asyncpg.Connection[asyncpg.Record], table: str) -> str:
    question = f"SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM {table} AS row"  # noqa: S608 - ours
    return str(await connection.fetchval(question))
