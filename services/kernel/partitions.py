"""Tables that only age are cut into days: new ones are made ahead, old ones dropped whole."""

from __future__ import annotations

import re
from datetime import date, timedelta

from services.kernel.db import Connection

_TABLE = re.compile(r"[a-z_]+\.[a-z_]+")
_DAYS_AHEAD = 3


async def ensure_partitions(connection: Connection, table: str, *, today: date, keep_days: int) -> None:
    """Makes the partitions of today and three days ahead, and drops those older than `keep_days`.

    The table is partitioned by range of a timestamp and has a default partition, which takes what this was too
    late for. Idempotent; concurrent callers wait for each other.

    Raises:
        ValueError: the table's name is not `schema.table`.
    """
    if not _TABLE.fullmatch(table):
        raise ValueError(f"{table!r} is no schema.table")
    async with connection.transaction():
        await connection.execute("SELECT pg_advisory_xact_lock(hashtext($1))", f"partitions:{table}")
        existing = await _days(connection, table)
        for offset in range(_DAYS_AHEAD + 1):
            day = today + timedelta(days=offset)
            if day not in existing:
                await _make(connection, table, day)
        for day in existing:
            if day < today - timedelta(days=keep_days):
                await connection.execute(f"DROP TABLE {_name(table, day)}")


async def _days(connection: Connection, table: str) -> set[date]:
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
        "WHERE i.inhparent = $1::regclass",
        table,
    )
    matches = (re.search(r"_(\d{4})(\d{2})(\d{2})$", row["relname"]) for row in rows)
    return {date(int(m[1]), int(m[2]), int(m[3])) for m in matches if m}


async def _make(connection: Connection, table: str, day: date) -> None:
    # Rows of that day that already went to the default partition would forbid the new one: they move over.
    name, default = _name(table, day), f"{table}_default"
    start, end = f"'{day.isoformat()} 00:00:00+00'", f"'{(day + timedelta(days=1)).isoformat()} 00:00:00+00'"
    await connection.execute(f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL)")
    await connection.execute(
        f"WITH moved AS (DELETE FROM {default} WHERE created_at >= {start} AND created_at < {end} RETURNING *) "  # noqa: S608 - names are checked, dates are dates
        f"INSERT INTO {name} SELECT * FROM moved"
    )
    await connection.execute(f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"
