"""Migrations: numbered SQL files of each schema, applied once, in order, under an advisory lock."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from importlib import resources

import structlog

from services.kernel.db import Connection, Pool
from services.kernel.errors import Kind, ServiceError

log = structlog.get_logger()

_FILE = re.compile(r"(?P<number>\d{4})_(?P<name>[a-z0-9_]+)\.sql")
_LOCK = 0x6472_7964_6F63_6B01  # "drydock" and 1
_LEDGER = """
CREATE SCHEMA IF NOT EXISTS migrations;
CREATE TABLE IF NOT EXISTS migrations.applied (
    schema text NOT NULL,
    number int NOT NULL,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schema, number)
)
"""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One file `NNNN_name.sql`."""

    number: int
    name: str
    statements: str

    @property
    def sha256(self) -> str:
        """Of the statements: an applied migration never changes."""
        return hashlib.sha256(self.statements.encode()).hexdigest()


def load_migrations(package: str) -> tuple[Migration, ...]:
    """Reads `sql/migrations/` of a package, in order.

    Raises:
        ValueError: a file is not named NNNN_name.sql, or a number is missing or doubled.
    """
    found = []
    for file in (resources.files(package) / "sql" / "migrations").iterdir():
        match = _FILE.fullmatch(file.name)
        if not match:
            raise ValueError(f"{package}/sql/migrations/{file.name} is not named NNNN_name.sql")
        text = file.read_text(encoding="utf-8")
        found.append(Migration(number=int(match["number"]), name=match["name"], statements=text))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError(f"the migrations of {package} are not numbered 0001, 0002, …")
    return tuple(found)


async def migrate(pool: Pool, *, schema: str, package: str) -> int:
    """Brings one schema up to date and returns how many migrations that took.

    Safe to call from every process at once: one works, the others wait and find nothing to do. A database that
    is already ahead of this code is left as it is.

    Raises:
        ServiceError: MIGRATION_CHANGED when a file differs from what was applied.
    """
    applied = 0
    async with pool.acquire() as connection:
        for migration in load_migrations(package):
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await connection.execute(_LEDGER)
                if await _pending(connection, schema, migration):
                    await connection.execute(migration.statements, timeout=600)
                    await _enter(connection, schema, migration)
                    log.info("migration.applied", schema=schema, number=migration.number, name=migration.name)
                    applied += 1
    return applied


async def lacking(pool: Pool, *, schema: str, package: str) -> tuple[Migration, ...]:
    """Returns what `migrate` would apply, in order; empty where the schema is up to date or ahead.

    Raises:
        ServiceError: MIGRATION_CHANGED as `migrate`.
    """
    migrations = load_migrations(package)
    async with pool.acquire() as connection:
        if await connection.fetchval("SELECT to_regclass('migrations.applied')") is None:
            return migrations
        return tuple([one for one in migrations if await _pending(connection, schema, one)])


async def _pending(connection: Connection, schema: str, migration: Migration) -> bool:
    known = await connection.fetchval(
        "SELECT sha256 FROM migrations.applied WHERE schema = $1 AND number = $2", schema, migration.number
    )
    if known is not None and known != migration.sha256:
        raise ServiceError(
            Kind.FAILED_PRECONDITION,
            "MIGRATION_CHANGED",
            f"Migration {migration.number:04} of {schema} was applied with another text.",
            hint="Install the release that this database belongs to, or a newer one.",
        )
    return known is None


async def _enter(connection: Connection, schema: str, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO migrations.applied (schema, number, name, sha256) VALUES ($1, $2, $3, $4)",
        schema,
        migration.number,
        migration.name,
        migration.sha256,
    )
