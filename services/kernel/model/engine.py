"""The two engines."""

from __future__ import annotations

import enum

from services.kernel.errors import Kind, ServiceError, invalid


class Engine(enum.Enum):
    """Who looks into an image."""

    TRIVY = "TRIVY"
    SECURITY_CENTER = "SECURITY_CENTER"


READY_ENGINES = frozenset({Engine.SECURITY_CENTER})
"""Those that this release scans with: for the instances that rules saves, and for the tasks of the scanner."""


def parse_engine(text: str) -> Engine:
    """Reads an engine in any spelling that people use: `security-center`, `SECURITY_CENTER`.

    Raises:
        ServiceError: INVALID_ENGINE.
    """
    word = text.upper().replace("-", "_")
    try:
        return Engine(word)
    except ValueError:
        raise invalid(
            "INVALID_ENGINE",
            f"{text[:40]!r} is no engine.",
            field="engine",
            hint="Write trivy or security-center.",
        ) from None


def engine_not_ready() -> ServiceError:
    """Returns the error of asking for an engine that is not among READY_ENGINES."""
    return ServiceError(
        Kind.FAILED_PRECONDITION,
        "ENGINE_NOT_READY",
        "The TRIVY engine comes with a later release; this one scans with SECURITY_CENTER.",
        hint="Name security-center, or no engine.",
        field="engine",
    )
