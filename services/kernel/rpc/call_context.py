"""What a call inside carries on from the call that it serves: its deadline, its request id and its trace."""

from __future__ import annotations

import time
from contextvars import ContextVar

from services.kernel import trace
from services.kernel.rpc import request_id

_MARGIN_SECONDS = 0.05
"""So much before the caller's deadline an inner call is given up: time to answer with words of ours."""
_deadline: ContextVar[float | None] = ContextVar("drydock_deadline", default=None)


def enter(seconds: float) -> None:
    """Notes that the current task answers a call within so many seconds."""
    _deadline.set(time.monotonic() + seconds)


def allowed_seconds(own: float) -> float:
    """Returns how long an inner call may take: its own limit, or less where the call that it serves has less left.

    Zero or less: there is no time left.
    """
    deadline = _deadline.get()
    return own if deadline is None else min(own, deadline - time.monotonic() - _MARGIN_SECONDS)


def passed_on() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that an inner call takes along: request id and trace, where there are any."""
    chosen = request_id.current()
    followed = tuple(trace.headers_after(trace.current()).items())
    return (*followed, (request_id.HEADER, chosen)) if chosen else followed
