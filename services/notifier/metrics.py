"""What the notifier counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

from services.notifier.channels.interface import Verdict

_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class NotifierMetrics:
    """Counters and durations; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._attempts = Counter(
            "drydock_notifier_attempts", "Attempts by verdict.", ("verdict",), registry=registry
        )
        self._dead = Counter("drydock_notifier_dead_deliveries", "Deliveries given up.", registry=registry)
        self._seconds = Histogram(
            "drydock_notifier_attempt_seconds", "Duration of attempts.", buckets=_BUCKETS, registry=registry
        )
        for verdict in Verdict:
            self._attempts.labels(verdict.value)

    def attempted(self, verdict: Verdict, seconds: float) -> None:
        """Counts one attempt."""
        self._attempts.labels(verdict.value).inc()
        self._seconds.observe(seconds)

    def died(self) -> None:
        """Counts one delivery that was given up."""
        self._dead.inc()
