"""How calls fail that no service refused: the same words at every door."""

from __future__ import annotations

from services.kernel.errors import Kind, ServiceError


def deadline_exceeded() -> ServiceError:
    """The error of a call whose time is up."""
    return ServiceError(
        Kind.DEADLINE_EXCEEDED,
        "DEADLINE_EXCEEDED",
        "The call took longer than it may.",
        hint="Try again, or allow more time.",
    )


def internal(request_id: str) -> ServiceError:
    """The error of a call that broke in a way which nobody foresaw; what happened is in the log alone."""
    return ServiceError(
        Kind.INTERNAL,
        "INTERNAL",
        "Something went wrong on our side.",
        hint=f"Look for request {request_id} in the server's log.",
    )
