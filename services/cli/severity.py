"""Severities as they are typed."""

from __future__ import annotations

import enum

from services.kernel.errors import invalid
from services.kernel.model.severity import Severity


class SeverityWord(enum.Enum):
    """One severity, in lower case."""

    UNKNOWN = "unknown"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def severity(self) -> Severity:
        """The value that it stands for."""
        return Severity[self.name]


def parse_severities(text: str) -> frozenset[Severity]:
    """Reads `high,critical`; an empty text means all.

    Raises:
        ServiceError: INVALID_SEVERITY.
    """
    words = [word.strip().upper() for word in text.split(",") if word.strip()]
    for word in words:
        if word not in Severity.__members__:
            raise invalid(
                "INVALID_SEVERITY",
                f"{word[:40]!r} is no severity.",
                field="severity",
                hint="Write some of unknown,low,medium,high,critical.",
            )
    return frozenset(map(Severity, words)) or frozenset(Severity)
