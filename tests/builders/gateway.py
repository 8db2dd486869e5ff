"""The gateway's keys on a real database."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.access_keys import AccessKeys
from services.gateway.keys import Keys
from services.gateway.store import GatewayStore
from services.gateway.tokens import TokenChecker
from services.kernel.db import Pool
from services.kernel.errors import not_found
from services.kernel.ids import RandomIds
from services.kernel.secrets import SecretBox
from tests.databases import migrated_pool
from tests.fakes.clock import ManualClock

INSTANCE_ID = "cri-0123456789abcdef"


async def find_instance(name: str) -> str:
    if name not in ("lab", INSTANCE_ID):
        raise not_found("INSTANCE_NOT_EXIST", f"There is no instance {name!r}.")
    return INSTANCE_ID


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    pool: Pool
    store: GatewayStore
    checker: TokenChecker
    access_keys: AccessKeys
    keys: Keys
    clock: ManualClock


def key_ring(pool: Pool, clock: ManualClock | None = None) -> KeyRing:
    """One gateway's view of the keys; several on one pool are several gateways."""
    clock = clock or ManualClock()
    store = GatewayStore()
    checker = TokenChecker(pool, store, clock)
    access_keys = AccessKeys(pool=pool, store=store, box=SecretBox(b"k" * 32), clock=clock)
    keys = Keys(
        pool=pool,
        store=store,
        checker=checker,
        access_keys=access_keys,
        find_instance=find_instance,
        clock=clock,
        ids=RandomIds(),
    )
    return KeyRing(pool=pool, store=store, checker=checker, access_keys=access_keys, keys=keys, clock=clock)


@asynccontextmanager
async def fresh_key_ring(database: str) -> AsyncIterator[KeyRing]:
    async with migrated_pool(database, ("gateway", "services.gateway")) as pool:
        yield key_ring(pool)
