"""What reconciliations count."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from services.rules.sync.store import Progress


class End(enum.Enum):
    """What became of a walk, for the time being."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """To its end, but some repositories could not be read, or the catalogue could not."""
    POSTPONED = "postponed"
    """The registry could not be read on: it is gone on with later."""
    PAUSED = "paused"
    """It was at it long enough: others come first, then it is gone on with."""
    LOST = "lost"
    """Somebody else has it, or it was switched off."""
    STOPPED = "stopped"
    """The process stops."""


class WalkMetrics:
    """Counters; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._walks = Counter(
            "drydock_rules_sync_walks",
            "Reconciliations with registries, by what became of them.",
            ("end",),
            registry=registry,
        )
        self._seconds = Histogram(
            "drydock_rules_sync_walk_seconds",
            "How long reconciliations took from beginning to end.",
            buckets=(1, 5, 15, 60, 300, 900, 3600, 14_400, 43_200),
            registry=registry,
        )
        self._last = Gauge(
            "drydock_rules_sync_last_end_timestamp_seconds",
            "When this process last brought a reconciliation to its end.",
            registry=registry,
        )
        self._read = Counter(
            "drydock_rules_sync_read", "What reconciliations came by.", ("what",), registry=registry
        )
        for end in End:
            self._walks.labels(end.value)
        for what in ("repositories", "tags", "gone", "skipped"):
            self._read.labels(what)

    def ended(self, end: End) -> None:
        """Counts a walk that was left."""
        self._walks.labels(end.value).inc()

    def finished(self, at: datetime, lasted: timedelta) -> None:
        """Measures a walk that came to its end."""
        self._seconds.observe(lasted.total_seconds())
        self._last.set(at.timestamp())

    def came_by(self, progress: Progress) -> None:
        """Counts what a step of a walk came by."""
        for what in ("repositories", "tags", "gone", "skipped"):
            self._read.labels(what).inc(getattr(progress, what))
