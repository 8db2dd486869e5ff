"""Repositories at first sight: known ones are found, new ones saved, whoever else does the same."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from services.kernel.db import Connection
from services.kernel.model.repository_id import repository_id
from services.rules.api import Repository
from services.rules.store import RepositoryKey, RulesStore


async def see(
    conn: Connection, store: RulesStore, keys: Iterable[RepositoryKey], at: datetime
) -> dict[RepositoryKey, Repository]:
    """Returns every named repository, the new ones saved. The instances must exist. Idempotent and race-free."""
    # In one order always: two transactions that save the same ones then wait, and never deadlock.
    wanted = sorted(set(keys), key=lambda key: (key[0], key[1].namespace, key[1].name))
    known = await store.find_repositories(conn, wanted)
    missing = [key for key in wanted if key not in known]
    if not missing:
        return known
    await store.insert_repositories(conn, [repository_id(*key) for key in missing], missing, at)
    return known | await store.find_repositories(conn, missing)
