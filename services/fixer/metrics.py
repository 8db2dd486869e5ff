"""What the fixer counts."""

from __future__ import annotations

import enum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class End(enum.Enum):
    """How an attempt ended."""

    SUCCEEDED = "SUCCEEDED"
    PARTIAL = "PARTIAL"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    RETRYING = "RETRYING"
    REVERTED = "REVERTED"
    REVERT_FAILED = "REVERT_FAILED"
    INTERRUPTED = "INTERRUPTED"
    """The process stops, the lease is lost, or the database is away: somebody goes on later."""


class FixerMetrics:
    """Counters and durations; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._ends = Counter("drydock_fixer_attempts", "Attempts by their end.", ("end",), registry=registry)
        self._seconds = Histogram(
            "drydock_fixer_attempt_seconds",
            "Duration of attempts.",
            buckets=(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0),
            registry=registry,
        )
        self._running = Gauge("drydock_fixer_running", "Fixes that this process works on.", registry=registry)
        for end in End:
            self._ends.labels(end.value)

    def began(self) -> None:
        """Counts one attempt as under way."""
        self._running.inc()

    def ended(self, end: End, seconds: float) -> None:
        """Counts one attempt as ended."""
        self._running.dec()
        self._ends.labels(end.value).inc()
        self._seconds.observe(seconds)
