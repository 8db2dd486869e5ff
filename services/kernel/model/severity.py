"""Severity inside Drydock; the ACR edge folds CRITICAL into High."""

from __future__ import annotations

import enum


class Severity(enum.Enum):
    """How bad a finding is, in rising order of definition."""

    UNKNOWN = "UNKNOWN"
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"

    @property
    def rank(self) -> int:
        """0 for UNKNOWN to 4 for CRITICAL."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}
