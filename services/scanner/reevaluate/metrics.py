"""What re-evaluation counts."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from services.scanner.reevaluate.records import Tally


class ReevaluationMetrics:
    """Counters; their labels are closed sets."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lagging = Gauge(
            "drydock_scanner_reevaluation_lagging",
            "Inventories that are still to be matched with the youngest advisories; as this scanner last saw it.",
            registry=registry,
        )
        self._inventories = Counter(
            "drydock_scanner_reevaluated_inventories",
            "Inventories that this scanner has matched again, by what came of it.",
            ("found",),
            registry=registry,
        )
        self._images = Counter(
            "drydock_scanner_reevaluated_images",
            "Reports of which newer advisories say something else.",
            registry=registry,
        )
        self._events = Counter("drydock_scanner_reevaluation_events", "Events that told of it.", registry=registry)
        for found in ("same", "changed", "failed"):
            self._inventories.labels(found)

    def lag(self, inventories: int) -> None:
        """Notes how many inventories are left."""
        self._lagging.set(inventories)

    def done(self, tally: Tally) -> None:
        """Counts what was done."""
        self._inventories.labels("changed").inc(tally.changed)
        self._inventories.labels("failed").inc(tally.failed)
        self._inventories.labels("same").inc(tally.inventories - tally.changed - tally.failed)
        self._images.inc(tally.images)
        self._events.inc(tally.events)
