"""The one error of Drydock: a kind for machines, a reason code, and a sentence for a person."""

from __future__ import annotations

import enum
from collections.abc import Mapping


class Kind(enum.Enum):
    """What sort of failure it is; each kind has exactly one gRPC status and one HTTP status."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    INTERNAL = "INTERNAL"


class ServiceError(Exception):
    """A failure that may be shown to the caller as it stands.

    Everything in it is fit for users: no secrets, no foreign exception text. The same error looks the same
    over gRPC (`google.rpc.ErrorInfo`), over HTTP and on the command line.
    """

    kind: Kind
    """Decides the status code."""
    reason: str
    """UPPER_SNAKE code for machines, at most 63 characters, stable across releases."""
    message: str
    """One sentence: what was wrong, and where."""
    hint: str
    """What to do next; empty when there is nothing to advise."""
    field: str
    """The request field at fault; empty when it is not about one."""
    retry_after: float | None
    """Seconds after which trying again makes sense; None when unknown or senseless."""
    metadata: Mapping[str, str]
    """Further facts for machines, such as `digest` or `limit`."""

    def __init__(
        self,
        kind: Kind,
        reason: str,
        message: str,
        *,
        hint: str = "",
        field: str = "",
        retry_after: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.reason = reason
        self.message = message
        self.hint = hint
        self.field = field
        self.retry_after = retry_after
        self.metadata = dict(metadata or {})

    def __reduce__(self) -> tuple[object, ...]:
        # It crosses from worker processes by pickle, which would call us with the message alone.
        return (ServiceError, (self.kind, self.reason, self.message), self.__dict__)

    def sentence(self) -> str:
        """Message and hint in one line, as the command line prints them."""
        return f"{self.message} {self.hint}".strip()


def invalid(reason: str, message: str, *, field: str = "", hint: str = "") -> ServiceError:
    """An INVALID_ARGUMENT error about one field of a request."""
    return ServiceError(Kind.INVALID_ARGUMENT, reason, message, field=field, hint=hint)


def not_found(reason: str, message: str, *, hint: str = "") -> ServiceError:
    """A NOT_FOUND error."""
    return ServiceError(Kind.NOT_FOUND, reason, message, hint=hint)
