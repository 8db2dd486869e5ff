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

    def __init__(self, _: str) -> None:
        self.rank = len(type(self).__members__)
        """0 for UNKNOWN to 4 for CRITICAL."""
