"""The id of the call that is being answered: one UUID in logs, answers and errors."""

from __future__ import annotations

import re
from contextvars import ContextVar

import structlog

HEADER = "x-request-id"
"""Metadata key and HTTP header, both ways."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_current: ContextVar[str] = ContextVar("drydock_request_id", default="")


def accept(offered: str) -> str:
    """Returns the caller's own id in lower case when it is a UUID, else the empty string.

    Nothing but a UUID is taken over: the id goes into logs, and the ACR door answers with one.
    """
    return offered.lower() if _UUID.fullmatch(offered) else ""


def bind(request_id: str) -> None:
    """Makes it the id of the current task, and of every log line that follows in it."""
    _current.set(request_id)
    structlog.contextvars.bind_contextvars(request_id=request_id)


def current() -> str:
    """Returns the id of the call that is being answered; empty outside of any call."""
    return _current.get()
