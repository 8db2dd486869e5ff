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


class RunFate(enum.Enum):
    """What became of a run, as far as rules goes."""

    ASKED = "asked"
    """Every image was asked for."""
    PUT_OFF = "put_off"
    """Its registry could not be asked: it is tried again, and counted again."""
    FAILED = "failed"
    SKIPPED = "skipped"
    """Its time came, and it was not started."""


class RulesMetrics:
    """Counters; their labels are a closed set."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = Counter(
            "drydock_rules_image_events", "Image events by what became of them.", ("fate",), registry=registry
        )
        for fate in Fate:
            self._events.labels(fate.value)
        self._runs = Counter(
            "drydock_rules_runs", "Runs of rules by what became of them.", ("fate",), registry=registry
        )
        for run_fate in RunFate:
            self._runs.labels(run_fate.value)

    def run(self, fate: RunFate) -> None:
        """Counts a run."""
        self._runs.labels(fate.value).inc()

    def event(self, fate: Fate, count: int = 1) -> None:
        """Counts image events."""
        self._events.labels(fate.value).inc(count)
