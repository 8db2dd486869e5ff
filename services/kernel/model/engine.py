"""The two engines."""

from __future__ import annotations

import enum
from collections.abc import Mapping

from services.kernel.errors import Kind, ServiceError, invalid


class Engine(enum.Enum):
    """Who looks into an image."""

    TRIVY = "TRIVY"
    SECURITY_CENTER = "SECURITY_CENTER"


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


def engine_not_ready(message: str, *, hint: str = "", metadata: Mapping[str, str] | None = None) -> ServiceError:
    """Returns the error of asking for an engine that cannot scan as things are."""
    return ServiceError(
        Kind.FAILED_PRECONDITION, "ENGINE_NOT_READY", message, hint=hint, field="engine", metadata=metadata
    )
