"""What rules measures of engines."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Gauge

from services.rules.engines.api import Status
from services.rules.engines.conditions import NEEDS
from services.rules.engines.store import ConditionCount


class EngineMetrics:
    """Gauges; their labels are closed sets. Each copy tells of all instances: take the highest, not the sum."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._conditions = Gauge(
            "drydock_rules_engine_conditions",
            "Enterprise instances by what the engine that they use needs, and how that is.",
            ("engine", "condition", "status"),
            registry=registry,
        )
        self.stand(())

    def stand(self, counts: Iterable[ConditionCount]) -> None:
        """Takes what was counted; what was not is none."""
        found = {(one.engine, one.type, one.status): one.instances for one in counts}
        for engine, needed in NEEDS.items():
            for condition in needed:
                for status in Status:
                    gauge = self._conditions.labels(engine.value, condition.value, status.value)
                    gauge.set(found.get((engine, condition, status), 0))
