"""A notifier that remembers targets: what asks it is tested in front of it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from services.kernel.errors import invalid, not_found
from services.kernel.model.page import Page
from services.notifier.api import (
    Delivery,
    DeliveryAccount,
    DeliveryFilter,
    EventRecord,
    EventRecordFilter,
    EventRule,
    NewTarget,
    Subscription,
    Target,
    TargetChange,
    TargetKind,
    TrialAnswer,
)


class FakeNotifier:
    """Has the targets that it is given; each has its name in its id."""

    def __init__(self, *names: str) -> None:
        self._targets = {name: _target(name, TargetKind.HTTP, "http://127.0.0.1:9/") for name in names}
        self._subscriptions: dict[str, Subscription] = {}
        self.failure: Exception | None = None
        self.hanging = False
        self.checked: list[frozenset[str]] = []

    async def create_target(self, new: NewTarget) -> Target:
        self._targets[new.name] = _target(new.name, new.kind, new.url)
        return self._targets[new.name]

    async def update_target(self, target: str, change: TargetChange) -> Target:
        saved = self._targets.get(target)
        if saved is None:
            raise not_found("TARGET_NOT_EXIST", f"There is no target {target!r}.")
        self._targets[target] = dataclasses.replace(saved, url=change.url or saved.url)
        return self._targets[target]

    async def send_test_notification(self, target: str) -> TrialAnswer:
        return TrialAnswer(
            delivered=target in self._targets,
            reason="",
            message="",
            status=204,
            answer="",
            duration=timedelta(0),
            delivery_id="d-1",
        )

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        del page_size, page_token
        return Page(items=tuple(self._targets[name] for name in sorted(self._targets)))

    async def delete_target(self, target: str) -> None:
        if self._targets.pop(target, None) is None:
            raise not_found("TARGET_NOT_EXIST", f"There is no target {target!r}.")

    async def check_targets(self, target_ids: Collection[str]) -> None:
        self.checked.append(frozenset(target_ids))
        if self.failure is not None:
            raise self.failure
        if self.hanging:
            await asyncio.Event().wait()
        missing = sorted(set(target_ids) - {target.target_id for target in self._targets.values()})
        if missing:
            raise invalid("TARGET_NOT_EXIST", f"There is no target {missing[0]!r}.", field="target_ids")

    async def get_subscription(self, target: str) -> Subscription:
        return self._subscriptions.get(target, Subscription())

    async def set_subscription(self, target: str, subscription: Subscription) -> Subscription:
        self._subscriptions[target] = subscription
        return subscription

    async def list_deliveries(
        self, wanted: DeliveryFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Delivery]:
        return Page(items=())

    async def get_delivery(self, delivery_id: str) -> DeliveryAccount:
        raise not_found("DELIVERY_NOT_EXIST", f"There is no delivery {delivery_id!r}.")

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        raise not_found("DELIVERY_NOT_EXIST", f"There is no delivery {delivery_id!r}.")

    async def replay_deliveries(self, target: str) -> int:
        return 0

    async def create_event_rule(self, rule: EventRule) -> EventRule:
        return rule

    async def update_event_rule(self, rule: EventRule) -> EventRule:
        return rule

    async def delete_event_rule(self, instance_id: str, rule_id: str) -> None:
        del instance_id, rule_id

    async def list_event_rules(self, instance_id: str) -> tuple[EventRule, ...]:
        return ()

    async def list_event_records(
        self, wanted: EventRecordFilter, *, offset: int = 0, size: int = 0
    ) -> tuple[tuple[EventRecord, ...], int]:
        return (), 0


def _target(name: str, kind: TargetKind, url: str) -> Target:
    return Target(
        target_id=f"tgt-{name}", name=name, kind=kind, url=url, created_at=datetime(2026, 11, 24, tzinfo=UTC)
    )
