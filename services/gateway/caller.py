"""Who makes the call that the current task answers."""

from __future__ import annotations

from contextvars import ContextVar

from services.gateway.api import Key
from services.kernel.rpc import call_context

_caller: ContextVar[Key] = ContextVar("drydock_caller")


def enter(key: Key) -> None:
    """Notes whose call the current task answers; what it asks of other services is asked for them."""
    _caller.set(key)
    call_context.act_for(key.name)


def current() -> Key:
    """Returns the key of the caller.

    Raises:
        LookupError: a door has let somebody in without asking who it is. Nothing may be answered then.
    """
    return _caller.get()
