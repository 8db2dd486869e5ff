"""What rules counts."""

from __future__ import annotations

import enum

from prometheus_client import CollectorRegistry, Counter


class Fate(enum.Enum):
    """What became of an image event."""

    REQUESTED = "requested"
    """At least one rule matched: a scan was requested."""
    UNMATCHED = "unmatched"
    REPEATED = "repeated"
    """Its id was seen before."""
    NO_PUSH = "no_push"
    """Another action, or a push without a tag."""
    UNKNOWN_INSTANCE = "unknown_instance"
    PERSONAL_INSTANCE = "personal_instance"


class RulesMetrics:
    """Counters; their labels are a closed set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "drydock_rules_image_events", "Image events by what became of them.", ("fate",), registry=registry
        )
        for fate in Fate:
            self._events.labels(fate.value)

    def event(self, fate: Fate, count: int = 1) -> None:
        """Counts image events."""
        self._events.labels(fate.value).inc(count)
