"""Kinds of finding as they are typed."""

from __future__ import annotations

import enum


class KindWord(enum.Enum):
    """The name is the kind's own, the value the first word of it."""

    SYSTEM_VULNERABILITY = "system"
    APPLICATION_VULNERABILITY = "application"
    BASELINE_RISK = "baseline"
    MALICIOUS_SAMPLE = "malicious"
