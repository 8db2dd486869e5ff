"""The switch of a sync: on, off, now, and how it stands."""

from __future__ import annotations

import structlog

from services.kernel.db import Pool
from services.rules import instances, refusals
from services.rules.api import Instance, Sync
from services.rules.sync.store import SyncStore

log = structlog.get_logger()


class SyncSwitch:
    """Switches syncs; the instance is the caller's to find."""

    def __init__(self, pool: Pool, store: SyncStore) -> None:
        self._pool = pool
        self._store = store

    async def set(self, instance: Instance, *, on: bool) -> Sync:
        """Switches a sync, unless it is so already.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED when a personal instance is to be synced; INSTANCE_NOT_EXIST.
        """
        if on:
            instances.checked_edition(instance)
        async with self._pool.acquire() as conn, conn.transaction():
            if await self._store.switch(conn, instance.instance_id, on=on):
                await self._store.announce(conn)
                log.info("sync.switched", instance_id=instance.instance_id, on=on)
        return await self.get(instance)

    async def now(self, instance: Instance) -> Sync:
        """Makes a walk due that begins from now on.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED; SYNC_OFF; INSTANCE_NOT_EXIST.
        """
        instances.checked_edition(instance)
        if not instance.sync:
            raise refusals.sync_off(instance.name)
        async with self._pool.acquire() as conn, conn.transaction():
            await self._store.hasten(conn, instance.instance_id)
            await self._store.announce(conn)
        return await self.get(instance)

    async def get(self, instance: Instance) -> Sync:
        """Tells how a sync stands.

        Raises:
            ServiceError: INSTANCE_NOT_EXIST when it was deleted since it was found.
        """
        async with self._pool.acquire() as conn:
            found = await self._store.read(conn, instance.instance_id)
        if found is None:
            raise refusals.no_instance(instance.name)
        return found
