"""What the stream counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter

from services.scanner.stream.records import Activity


class StreamMetrics:
    """Counters; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._told = Counter(
            "drydock_scanner_finding_events",
            "Events of the stream of findings, by what became of the finding.",
            ("activity",),
            registry=registry,
        )
        self._kept_open = Counter(
            "drydock_scanner_findings_kept_open",
            "Findings that a scan did not have, and did not vouch for: they stay open.",
            registry=registry,
        )
        for activity in Activity:
            self._told.labels(activity.name.lower())

    def told(self, activity: Activity, count: int) -> None:
        """Counts events."""
        self._told.labels(activity.name.lower()).inc(count)

    def kept_open(self, count: int) -> None:
        """Counts findings that stay open."""
        self._kept_open.inc(count)
