"""Chains as saved: one method for each query."""

from __future__ import annotations

import dataclasses
from datetime import datetime

import asyncpg

from services.kernel.db import Connection
from services.kernel.sql import load_queries

_Q = load_queries("services.gateway")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """A delivery chain."""

    chain_id: str
    instance_id: str
    name: str
    description: str
    namespace: str
    """Empty: the whole instance."""
    repository: str
    """Empty: the whole namespace."""
    scope_exclude: tuple[str, ...]
    config_id: str
    config: str
    """JSON of a ChainConfig."""
    created_at: datetime
    modified_at: datetime
    version: int = 1

    def covers(self, namespace: str, repository: str) -> bool:
        """Tells whether a repository is in its scope."""
        if self.namespace not in ("", namespace) or self.repository not in ("", repository):
            return False
        return repository not in self.scope_exclude and f"{namespace}/{repository}" not in self.scope_exclude


class ChainStore:
    """Reads and writes `gateway.acr_chain`."""

    async def insert(self, conn: Connection, chain: Chain) -> bool:
        """Saves a chain; False when the instance has one of its name."""
        saved = await conn.fetchval(
            _Q["insert_acr_chain"],
            chain.chain_id,
            chain.instance_id,
            chain.name,
            chain.description,
            chain.namespace,
            chain.repository,
            chain.scope_exclude,
            chain.config_id,
            chain.config,
            chain.created_at,
        )
        return saved is not None

    async def of_instance(self, conn: Connection, instance_id: str) -> tuple[Chain, ...]:
        """Returns the chains of an instance, oldest first."""
        return tuple(_to_chain(row) for row in await conn.fetch(_Q["acr_chains"], instance_id))

    async def update(self, conn: Connection, chain: Chain) -> bool:
        """Writes a chain anew; False when there is none. Raises UniqueViolationError for a name that is taken."""
        saved = await conn.fetchval(
            _Q["update_acr_chain"],
            chain.instance_id,
            chain.chain_id,
            chain.name,
            chain.description,
            chain.scope_exclude,
            chain.config,
            chain.modified_at,
        )
        return saved is not None

    async def delete(self, conn: Connection, instance_id: str, chain_id: str) -> bool:
        """Deletes a chain; False when there is none."""
        return await conn.fetchval(_Q["delete_acr_chain"], instance_id, chain_id) is not None


def _to_chain(row: asyncpg.Record) -> Chain:
    values = {**dict(row), "scope_exclude": tuple(row["scope_exclude"])}
    return Chain(**values)
