"""A bus that was restored into another cluster: its places are put on the numbers of this one."""

from __future__ import annotations

import asyncpg
import structlog

from services.kernel.bus.interface import PARTITIONS
from services.kernel.sql import load_queries

log = structlog.get_logger()

_QUERIES = load_queries("services.kernel.bus")
_ALL = list(range(PARTITIONS))
_SECONDS = 600.0
"""For one statement: a topic is rewritten whole, and that once in a cluster's life."""


async def rebase(connection: asyncpg.Connection[asyncpg.Record], topic: str) -> None:
    """Makes a topic readable whose messages or positions name transactions that this cluster has not begun yet.

    Places are numbers of transactions, and a dump carries them along: in a younger cluster old messages would not
    be read for long, and new ones would lie before every position. All messages get the number of this
    transaction and keep the order in which they were written; no group passes what it has not read, but may get
    again what it has. Idempotent; concurrent callers wait for each other, and publishers for them.
    """
    if not await connection.fetchval(_QUERIES["is_foreign"], topic, _ALL):
        return
    async with connection.transaction():
        await connection.execute(_QUERIES["lock_rebase"], timeout=_SECONDS)
        # First the lock, then the number of this transaction: whoever publishes after us has a greater one.
        await connection.execute(_QUERIES["lock_bus"], timeout=_SECONDS)
        if not await connection.fetchval(_QUERIES["is_foreign"], topic, _ALL):
            return
        positions = await connection.fetch(_QUERIES["rebase_positions"], topic, timeout=_SECONDS)
        messages = await connection.execute(_QUERIES["rebase_messages"], topic, timeout=_SECONDS)
    log.warning("bus.rebased", topic=topic, messages=int(messages.split()[-1]), positions=len(positions))
