"""What a call inside carries on from the call that it serves: deadline, request id, trace, and for whom it is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from urllib.parse import quote, unquote

from services.kernel import trace
from services.kernel.rpc import request_id

_MARGIN_SECONDS = 0.05
"""So much before the caller's deadline an inner call is given up: time to answer with words of ours."""
_LAST_WORD_SECONDS = 0.5
"""So much before that whoever waits stops: time for a last look, on a busy machine and over two hops."""
_deadline: ContextVar[float | None] = ContextVar("drydock_deadline", default=None)
ACTOR = "drydock-actor"
"""Header with the name of the key for whose bearer a peer calls: believed inside, never from outside."""
_actor: ContextVar[str] = ContextVar("drydock_actor", default="")


def enter(seconds: float) -> None:
    """Notes that the current task answers a call within so many seconds."""
    _deadline.set(time.monotonic() + seconds)


def allowed_seconds(own: float) -> float:
    """Returns how long an inner call may take: its own limit, or less where the call that it serves has less left.

    Zero or less: there is no time left.
    """
    deadline = _deadline.get()
    return own if deadline is None else min(own, deadline - time.monotonic() - _MARGIN_SECONDS)


def patience(longest: float) -> float:
    """Returns how long the current call may wait for something and still answer in time; `longest` at most."""
    left = allowed_seconds(longest)
    return max(left - min(_LAST_WORD_SECONDS, left / 10), 0.0)


def act_for(actor: str) -> None:
    """Notes for whom the current task answers a call: the name of a key."""
    _actor.set(actor)


@contextmanager
def acting_for(actor: str) -> Iterator[None]:
    """Around calls that are made for somebody; for nobody, they are made for whom the current task works."""
    token = _actor.set(actor or _actor.get())
    try:
        yield
    finally:
        _actor.reset(token)


def actor() -> str:
    """Returns for whom the current task works; empty when nobody has said."""
    return _actor.get()


def actor_in(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Reads for whom a peer says that it calls."""
    said = next((value for key, value in metadata if key == ACTOR), "")
    return unquote(said)[:64] if isinstance(said, str) else ""


def passed_on() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that an inner call takes along: request id, trace and actor, where there are any."""
    chosen, behind = request_id.current(), actor()
    return (
        *trace.headers_after(trace.current()).items(),
        *(((request_id.HEADER, chosen),) if chosen else ()),
        *(((ACTOR, quote(behind)),) if behind else ()),
    )
