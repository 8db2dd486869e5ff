"""The two engines."""

from __future__ import annotations

import enum

from services.kernel.errors import invalid


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
