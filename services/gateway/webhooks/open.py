"""Builds what stands behind the webhooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.gateway.editions import Editions
from services.gateway.settings import GatewaySettings
from services.gateway.store import GatewayStore
from services.gateway.tokens import TokenChecker
from services.gateway.webhooks.convoy import open_convoys
from services.gateway.webhooks.door import WebhookDoor
from services.gateway.webhooks.publish import EventPublisher, WebhookMetrics
from services.gateway.webhooks.rate import InstanceRates
from services.kernel.ground import Ground


@asynccontextmanager
async def open_webhooks(
    ground: Ground, *, store: GatewayStore, checker: TokenChecker, editions: Editions, settings: GatewaySettings
) -> AsyncIterator[WebhookDoor]:
    """Yields the door; it must be open for as long as deliveries are answered."""
    async with open_convoys(pool=ground.pool, store=store, bus=ground.bus) as convoys:
        publisher = EventPublisher(
            convoys=convoys,
            clock=ground.clock,
            metrics=WebhookMetrics(ground.registry),
            pull_seconds=settings.pull_seconds,
        )
        yield WebhookDoor(
            checker=checker,
            editions=editions,
            rates=InstanceRates(ground.clock, settings.webhook_events_per_second),
            publisher=publisher,
            deadline_seconds=settings.webhook_deadline_seconds,
        )
