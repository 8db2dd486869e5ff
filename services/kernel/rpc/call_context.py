"""What a call inside carries on from the call that it serves: its deadline and its trace.

Trace headers: W3C Trace Context, level 1, sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from contextvars import ContextVar

from services.kernel.rpc import request_id

TRACE_HEADERS = ("traceparent", "tracestate")

_MARGIN_SECONDS = 0.05
"""So much before the caller's deadline an inner call is given up: time to answer with words of ours."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}")
_deadline: ContextVar[float | None] = ContextVar("drydock_deadline", default=None)
_trace: ContextVar[tuple[tuple[str, str], ...]] = ContextVar("drydock_trace", default=())


def enter(metadata: Iterable[tuple[str, str | bytes]], seconds: float) -> None:
    """Notes that the current task answers a call with this metadata, within so many seconds."""
    _deadline.set(time.monotonic() + seconds)
    _trace.set(tuple(_kept(metadata)))


def allowed_seconds(own: float) -> float:
    """Returns how long an inner call may take: its own limit, or less where the call that it serves has less left.

    Zero or less: there is no time left.
    """
    deadline = _deadline.get()
    return own if deadline is None else min(own, deadline - time.monotonic() - _MARGIN_SECONDS)


def passed_on() -> tuple[tuple[str, str], ...]:
    """Returns the metadata that an inner call takes along: request id and trace, where there are any."""
    chosen = request_id.current()
    return (*_trace.get(), (request_id.HEADER, chosen)) if chosen else _trace.get()


def _kept(metadata: Iterable[tuple[str, str | bytes]]) -> Iterable[tuple[str, str]]:
    """Takes over well-formed trace headers; a state without a parent means nothing."""
    found = {key: value for key, value in metadata if key in TRACE_HEADERS and isinstance(value, str)}
    parent, state = found.get("traceparent", ""), found.get("tracestate", "")
    if _TRACEPARENT.fullmatch(parent):
        yield "traceparent", parent
        if _TRACESTATE.fullmatch(state):
            yield "tracestate", state
