"""Instances as they are saved: what somebody asked for, with the password sealed."""

from __future__ import annotations

import dataclasses

from services.kernel.clock import Clock
from services.kernel.model.engine import Engine
from services.rules import grammar, refusals
from services.rules.access import Passwords
from services.rules.api import Instance, InstanceChange, NewInstance
from services.rules.store import SealedInstance


class InstanceSealer:
    """Makes records of instances; saves nothing."""

    def __init__(self, passwords: Passwords, clock: Clock) -> None:
        self._passwords = passwords
        self._clock = clock

    def first(self, instance_id: str, new: NewInstance, engine: Engine) -> SealedInstance:
        """Returns a new instance."""
        now = self._clock.now()
        instance = Instance(
            instance_id=instance_id,
            name=new.name,
            edition=new.edition,
            region=new.region,
            address=new.address,
            private_address=new.private_address,
            plain_http=new.plain_http,
            username=new.username,
            engine=engine,
            created_at=now,
            updated_at=now,
        )
        sealed = self._passwords.seal(instance.instance_id, new.password)
        return SealedInstance(instance=instance, sealed_password=sealed)

    def changed(self, saved: SealedInstance, change: InstanceChange) -> SealedInstance:
        """Returns an instance with what is not None of the change; without a user name its password goes.

        Raises:
            ServiceError: credentials do not fit together, or the saved password would go elsewhere or in clear.
        """
        given = {
            field.name: getattr(change, field.name)
            for field in dataclasses.fields(change)
            if field.name != "password" and getattr(change, field.name) is not None
        }
        instance = dataclasses.replace(saved.instance, **given, updated_at=self._clock.now())
        grammar.check_credentials(instance.username, change.password or "")
        sealed = saved.sealed_password if instance.username else b""
        if sealed and change.password is None and _is_exposed(saved.instance, instance):
            raise refusals.password_needed(instance.name)
        if change.password is not None:
            sealed = self._passwords.seal(instance.instance_id, change.password)
        return SealedInstance(instance=instance, sealed_password=sealed)


def _is_exposed(old: Instance, new: Instance) -> bool:
    """Tells whether the change would send the saved password elsewhere, or in clear."""
    return (old.address, old.private_address) != (new.address, new.private_address) or (
        new.plain_http and not old.plain_http
    )
