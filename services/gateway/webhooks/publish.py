"""From checked notices to image events on the bus: durable before anybody is told that they arrived."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry
from prometheus_client import Counter as CounterMetric

from services.gateway.convert_events import to_draft
from services.gateway.webhooks.convoy import Convoys
from services.gateway.webhooks.notice import Action, Ignored, Notice
from services.gateway.webhooks.pulls import PullSieve
from services.kernel.clock import Clock

log = structlog.get_logger()


class WebhookMetrics:
    """What became of the events in webhooks."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._events = CounterMetric(
            "drydock_webhook_events", "Events in registry webhooks.", ("outcome",), registry=registry
        )

    def taken(self, action: Action) -> None:
        """Counts an event that went on the bus."""
        self._events.labels(action.value).inc()

    def left_out(self, why: Ignored, count: int) -> None:
        """Counts events that start nothing."""
        self._events.labels(f"ignored_{why.value}").inc(count)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How many events of an envelope went on, and how many did not."""

    accepted: int
    ignored: Mapping[str, int]
    """How many for each reason that there was; the values of `Ignored`, in their order."""


class EventPublisher:
    """Publishes what a webhook brought."""

    def __init__(
        self, *, convoys: Convoys, clock: Clock, metrics: WebhookMetrics, pull_seconds: float = 60.0
    ) -> None:
        """Pulls of the same within `pull_seconds` are told once."""
        self._convoys = convoys
        self._clock = clock
        self._metrics = metrics
        self._pulls = PullSieve(clock, pull_seconds)

    async def take(self, instance_id: str, read: Sequence[Notice | Ignored], *, sync: bool) -> Receipt:
        """Returns when every notice is durable on the bus. A delivery that comes again yields the same event ids.

        Pulls are left out of an instance that is not synced, and where the same was pulled a moment ago.

        Raises:
            ServiceError: BUS_UNAVAILABLE, WEBHOOK_BUSY; errors of the database as they come.
        """
        kept = self._pulls.sift(instance_id, read, sync=sync)
        notices = [entry for entry in kept if isinstance(entry, Notice)]
        ignored = Counter(entry for entry in kept if isinstance(entry, Ignored))
        if notices:
            now = self._clock.now()
            await self._convoys.publish([to_draft(instance_id, notice, now) for notice in notices])
            self._pulls.told(instance_id, notices)
        receipt = Receipt(
            accepted=len(notices), ignored={why.value: ignored[why] for why in Ignored if ignored[why]}
        )
        self._count(notices, ignored)
        # A push that starts something is told of by what it starts.
        level = log.warning if ignored[Ignored.MALFORMED] else log.info if ignored else log.debug
        level("webhook.received", instance_id=instance_id, accepted=receipt.accepted, ignored=receipt.ignored)
        return receipt

    def _count(self, notices: Sequence[Notice], ignored: Mapping[Ignored, int]) -> None:
        for notice in notices:
            self._metrics.taken(notice.action)
        for why, count in ignored.items():
            self._metrics.left_out(why, count)
