"""Trace context: one id from a registry's push to what follows from it.

W3C Trace Context, Recommendation of 23 November 2021, sections 3.2 (`traceparent`); https://www.w3.org/TR/trace-context/
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextvars import ContextVar

import structlog

HEADER = "traceparent"
"""HTTP header, gRPC metadata key and header of messages on the bus."""

_FORM = re.compile(r"00-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_current: ContextVar[str] = ContextVar("drydock_traceparent", default="")


def accept(offered: str) -> str:
    """Returns what a caller or a message offers when it is well-formed, else "": it goes into logs."""
    return offered if _FORM.fullmatch(offered) else ""


def begin(offered: str) -> None:
    """Begins our part of the offered trace, or a trace of our own, in this task and its log lines."""
    bind(follow(accept(offered)) or _mint())


def bind(traceparent: str) -> None:
    """Makes it the context of the current task, and its trace id part of every log line that follows in it."""
    _current.set(traceparent)
    if traceparent:
        structlog.contextvars.bind_contextvars(trace_id=trace_id_of(traceparent))
    else:
        structlog.contextvars.unbind_contextvars("trace_id")


def current() -> str:
    """Returns the context of the current task; empty outside of any."""
    return _current.get()


def follow(traceparent: str) -> str:
    """Returns the context of what follows from another one: the same trace, a new span."""
    found = _FORM.fullmatch(traceparent)
    return f"00-{found[1]}-{_span()}-{found[3]}" if found else ""


def headers_after(traceparent: str) -> Mapping[str, str]:
    """Returns the headers of a message that follows from a context; none where there is no context."""
    following = follow(traceparent)
    return {HEADER: following} if following else {}


def trace_id_of(traceparent: str) -> str:
    """Returns the 32 hex characters that all parts of one trace share; empty where there is none."""
    found = _FORM.fullmatch(traceparent)
    return found[1] if found else ""


def _mint() -> str:
    return f"00-{secrets.token_hex(16)}-{_span()}-00"


def _span() -> str:
    while not int(made := secrets.token_hex(8), 16):
        pass
    return made
