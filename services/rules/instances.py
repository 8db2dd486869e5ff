"""Instances as callers name them: found by id or name, and refused where their edition is not scanned."""

from __future__ import annotations

from services.kernel.db import Connection
from services.kernel.model.edition import edition_not_supported
from services.rules import grammar, refusals
from services.rules.api import Edition, Instance
from services.rules.store import RulesStore, SealedInstance


async def find(conn: Connection, store: RulesStore, instance: str, *, lock: bool = False) -> SealedInstance:
    """Returns an instance, held until the transaction ends if that is meant.

    Raises:
        ServiceError: INSTANCE_NOT_EXIST.
    """
    read = store.lock_instance if lock else store.find_instance
    found = await read(conn, instance) if grammar.may_name_instance(instance) else None
    if found is None:
        raise refusals.no_instance(instance)
    return found


async def enterprise(conn: Connection, store: RulesStore, instance: str) -> SealedInstance:
    """Returns an instance whose images may be scanned.

    Raises:
        ServiceError: INSTANCE_NOT_EXIST, EDITION_NOT_SUPPORTED.
    """
    found = await find(conn, store, instance)
    checked_edition(found.instance)
    return found


def checked_edition(instance: Instance) -> Instance:
    """Returns the instance itself.

    Raises:
        ServiceError: EDITION_NOT_SUPPORTED.
    """
    if instance.edition is Edition.PERSONAL:
        raise edition_not_supported(instance.name)
    return instance
