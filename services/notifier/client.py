"""NotifierApi across the network: what the application offers, met over gRPC."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from drydock.notifier.v1 import delivery_pb2 as delivery_pb
from drydock.notifier.v1 import event_rule_pb2 as rule_pb
from drydock.notifier.v1 import notifier_inner_service_pb2 as inner_pb
from drydock.notifier.v1 import notifier_service_pb2 as pb
from drydock.notifier.v1 import subscription_pb2 as told_pb
from drydock.notifier.v1.notifier_inner_service_pb2_grpc import NotifierInnerServiceStub
from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from services.kernel.model.page import Page
from services.kernel.rpc.peer import Peer
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
    TrialAnswer,
)
from services.notifier.convert import from_target, from_trial_answer, to_change, to_new_target
from services.notifier.convert_delivery import from_account, from_delivery, to_list_deliveries
from services.notifier.convert_event_rule import (
    answered_event_rule,
    from_event_record,
    to_event_rule,
    to_record_filter,
)
from services.notifier.convert_telling import answered_subscription, to_subscription

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from drydock.notifier.v1.notifier_inner_service_pb2_grpc import NotifierInnerServiceAsyncStub
    from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceAsyncStub

SERVICE = "drydock.notifier.v1.NotifierInnerService"
"""What a peer must serve to be the notifier."""


class NotifierClient:
    """NotifierApi over a peer. Errors are those of the application, and what `Peer` adds."""

    def __init__(self, peer: Peer) -> None:
        notifier: NotifierServiceAsyncStub = NotifierServiceStub(peer.channel)
        inner: NotifierInnerServiceAsyncStub = NotifierInnerServiceStub(peer.channel)
        # What changes something is sent once: a lost answer must not become ALREADY_EXISTS or NOT_FOUND.
        self._create = peer.once(notifier.CreateTarget)
        self._update = peer.once(notifier.UpdateTarget)
        self._test = peer.once(notifier.SendTestNotification)
        self._delete = peer.once(notifier.DeleteTarget)
        self._list = peer.repeatable(notifier.ListTargets)
        self._get_subscription = peer.repeatable(notifier.GetSubscription)
        self._set_subscription = peer.repeatable(notifier.SetSubscription)
        self._list_deliveries = peer.repeatable(notifier.ListDeliveries)
        self._get_delivery = peer.repeatable(notifier.GetDelivery)
        self._replay_delivery = peer.once(notifier.ReplayDelivery)
        self._replay_deliveries = peer.once(notifier.ReplayDeliveries)
        self._create_event_rule = peer.once(notifier.CreateEventRule)
        self._update_event_rule = peer.repeatable(notifier.UpdateEventRule)
        self._delete_event_rule = peer.once(notifier.DeleteEventRule)
        self._list_event_rules = peer.repeatable(notifier.ListEventRules)
        self._list_event_records = peer.repeatable(notifier.ListEventRecords)
        self._check = peer.repeatable(inner.CheckTargets)

    async def create_target(self, new: NewTarget) -> Target:
        """Saves a target."""
        return from_target((await self._create(pb.CreateTargetRequest(target=to_new_target(new)))).target)

    async def update_target(self, target: str, change: TargetChange) -> Target:
        """Changes a target, given by id or name."""
        return from_target((await self._update(to_change(target, change))).target)

    async def send_test_notification(self, target: str) -> TrialAnswer:
        """Tells a target that this is a test."""
        return from_trial_answer(await self._test(pb.SendTestNotificationRequest(target=target)))

    async def list_targets(self, *, page_size: int = 0, page_token: str = "") -> Page[Target]:
        """Lists targets by name."""
        answer = await self._list(pb.ListTargetsRequest(page_size=page_size, page_token=page_token))
        return Page(items=tuple(map(from_target, answer.targets)), next_token=answer.next_page_token)

    async def delete_target(self, target: str) -> None:
        """Deletes a target by id or name."""
        await self._delete(pb.DeleteTargetRequest(target=target))

    async def check_targets(self, target_ids: Collection[str]) -> None:
        """Returns when every id is that of a target; see NotifierApi."""
        await self._check(inner_pb.CheckTargetsRequest(target_ids=target_ids))

    async def get_subscription(self, target: str) -> Subscription:
        """Returns what a target is told of."""
        answer = await self._get_subscription(told_pb.GetSubscriptionRequest(target=target))
        return answered_subscription(answer.subscription)

    async def set_subscription(self, target: str, subscription: Subscription) -> Subscription:
        """Replaces what a target is told of; the same again changes nothing."""
        request = told_pb.SetSubscriptionRequest(target=target, subscription=to_subscription(subscription))
        return answered_subscription((await self._set_subscription(request)).subscription)

    async def list_deliveries(
        self, wanted: DeliveryFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[Delivery]:
        """Lists deliveries, newest first."""
        request = to_list_deliveries(wanted or DeliveryFilter(), page_size=page_size, page_token=page_token)
        answer = await self._list_deliveries(request)
        return Page(items=tuple(map(from_delivery, answer.deliveries)), next_token=answer.next_page_token)

    async def get_delivery(self, delivery_id: str) -> DeliveryAccount:
        """Returns all about one delivery."""
        return from_account(await self._get_delivery(delivery_pb.GetDeliveryRequest(delivery_id=delivery_id)))

    async def replay_delivery(self, delivery_id: str) -> Delivery:
        """Makes a dead delivery due again; see NotifierApi."""
        request = delivery_pb.ReplayDeliveryRequest(delivery_id=delivery_id)
        return from_delivery((await self._replay_delivery(request)).delivery)

    async def replay_deliveries(self, target: str) -> int:
        """Makes dead deliveries to a target due again; see NotifierApi."""
        return (await self._replay_deliveries(delivery_pb.ReplayDeliveriesRequest(target=target))).count

    async def create_event_rule(self, rule: EventRule) -> EventRule:
        """Saves an event rule; see NotifierApi."""
        request = rule_pb.CreateEventRuleRequest(rule=to_event_rule(rule))
        return answered_event_rule((await self._create_event_rule(request)).rule)

    async def update_event_rule(self, rule: EventRule) -> EventRule:
        """Replaces an event rule; the same again changes nothing but its time."""
        request = rule_pb.UpdateEventRuleRequest(rule=to_event_rule(rule))
        return answered_event_rule((await self._update_event_rule(request)).rule)

    async def delete_event_rule(self, instance_id: str, rule_id: str) -> None:
        """Deletes an event rule."""
        await self._delete_event_rule(rule_pb.DeleteEventRuleRequest(instance_id=instance_id, rule_id=rule_id))

    async def list_event_rules(self, instance_id: str) -> tuple[EventRule, ...]:
        """Lists the event rules of an instance by name."""
        answer = await self._list_event_rules(rule_pb.ListEventRulesRequest(instance_id=instance_id))
        return tuple(map(answered_event_rule, answer.rules))

    async def list_event_records(
        self, wanted: EventRecordFilter, *, offset: int = 0, size: int = 0
    ) -> tuple[tuple[EventRecord, ...], int]:
        """Lists what event rules had told, newest first."""
        answer = await self._list_event_records(to_record_filter(wanted, offset=offset, size=size))
        return tuple(map(from_event_record, answer.records)), answer.total_size
