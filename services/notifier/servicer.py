"""The gRPC face of the notifier."""

from __future__ import annotations

from drydock.notifier.v1 import delivery_pb2 as delivery_pb
from drydock.notifier.v1 import event_rule_pb2 as rule_pb
from drydock.notifier.v1 import notifier_inner_service_pb2 as inner_pb
from drydock.notifier.v1 import notifier_inner_service_pb2_grpc as inner_rpc
from drydock.notifier.v1 import notifier_service_pb2 as pb
from drydock.notifier.v1 import notifier_service_pb2_grpc as rpc
from drydock.notifier.v1 import subscription_pb2 as told_pb
from services.kernel.rpc.server import Service
from services.notifier.api import NotifierApi
from services.notifier.convert import from_change, from_new_target, to_target, to_trial_answer
from services.notifier.convert_delivery import from_delivery_filter, to_account, to_delivery
from services.notifier.convert_event_rule import (
    from_event_rule,
    from_record_filter,
    to_event_record,
    to_event_rule,
)
from services.notifier.convert_telling import from_subscription, to_subscription


class NotifierServicer(rpc.NotifierServiceServicer):
    """NotifierService over NotifierApi."""

    def __init__(self, api: NotifierApi) -> None:
        self._api = api

    async def CreateTarget(self, request: pb.CreateTargetRequest, context: object) -> pb.CreateTargetResponse:
        """Saves a target."""
        target = await self._api.create_target(from_new_target(request.target))
        return pb.CreateTargetResponse(target=to_target(target))

    async def UpdateTarget(self, request: pb.UpdateTargetRequest, context: object) -> pb.UpdateTargetResponse:
        """Changes a target."""
        target = await self._api.update_target(request.target, from_change(request))
        return pb.UpdateTargetResponse(target=to_target(target))

    async def SendTestNotification(
        self, request: pb.SendTestNotificationRequest, context: object
    ) -> pb.SendTestNotificationResponse:
        """Tries a target."""
        return to_trial_answer(await self._api.send_test_notification(request.target))

    async def ListTargets(self, request: pb.ListTargetsRequest, context: object) -> pb.ListTargetsResponse:
        """Lists targets by name."""
        page = await self._api.list_targets(page_size=request.page_size, page_token=request.page_token)
        return pb.ListTargetsResponse(
            targets=[to_target(target) for target in page.items], next_page_token=page.next_token
        )

    async def DeleteTarget(self, request: pb.DeleteTargetRequest, context: object) -> pb.DeleteTargetResponse:
        """Deletes a target."""
        await self._api.delete_target(request.target)
        return pb.DeleteTargetResponse()

    # what targets are told of

    async def GetSubscription(
        self, request: told_pb.GetSubscriptionRequest, context: object
    ) -> told_pb.GetSubscriptionResponse:
        """Returns what a target is told of."""
        subscription = await self._api.get_subscription(request.target)
        return told_pb.GetSubscriptionResponse(subscription=to_subscription(subscription))

    async def SetSubscription(
        self, request: told_pb.SetSubscriptionRequest, context: object
    ) -> told_pb.SetSubscriptionResponse:
        """Replaces what a target is told of."""
        wanted = from_subscription(request.subscription)
        saved = await self._api.set_subscription(request.target, wanted)
        return told_pb.SetSubscriptionResponse(subscription=to_subscription(saved))

    # deliveries

    async def ListDeliveries(
        self, request: delivery_pb.ListDeliveriesRequest, context: object
    ) -> delivery_pb.ListDeliveriesResponse:
        """Lists deliveries."""
        page = await self._api.list_deliveries(
            from_delivery_filter(request), page_size=request.page_size, page_token=request.page_token
        )
        return delivery_pb.ListDeliveriesResponse(
            deliveries=[to_delivery(each) for each in page.items], next_page_token=page.next_token
        )

    async def GetDelivery(
        self, request: delivery_pb.GetDeliveryRequest, context: object
    ) -> delivery_pb.GetDeliveryResponse:
        """Returns all about one delivery."""
        return to_account(await self._api.get_delivery(request.delivery_id))

    async def ReplayDelivery(
        self, request: delivery_pb.ReplayDeliveryRequest, context: object
    ) -> delivery_pb.ReplayDeliveryResponse:
        """Makes a dead delivery due again."""
        delivery = await self._api.replay_delivery(request.delivery_id)
        return delivery_pb.ReplayDeliveryResponse(delivery=to_delivery(delivery))

    async def ReplayDeliveries(
        self, request: delivery_pb.ReplayDeliveriesRequest, context: object
    ) -> delivery_pb.ReplayDeliveriesResponse:
        """Makes dead deliveries to a target due again."""
        return delivery_pb.ReplayDeliveriesResponse(count=await self._api.replay_deliveries(request.target))

    # event rules

    async def CreateEventRule(
        self, request: rule_pb.CreateEventRuleRequest, context: object
    ) -> rule_pb.CreateEventRuleResponse:
        """Saves an event rule."""
        rule = await self._api.create_event_rule(from_event_rule(request.rule))
        return rule_pb.CreateEventRuleResponse(rule=to_event_rule(rule))

    async def UpdateEventRule(
        self, request: rule_pb.UpdateEventRuleRequest, context: object
    ) -> rule_pb.UpdateEventRuleResponse:
        """Replaces an event rule."""
        rule = await self._api.update_event_rule(from_event_rule(request.rule))
        return rule_pb.UpdateEventRuleResponse(rule=to_event_rule(rule))

    async def DeleteEventRule(
        self, request: rule_pb.DeleteEventRuleRequest, context: object
    ) -> rule_pb.DeleteEventRuleResponse:
        """Deletes an event rule."""
        await self._api.delete_event_rule(request.instance_id, request.rule_id)
        return rule_pb.DeleteEventRuleResponse()

    async def ListEventRules(
        self, request: rule_pb.ListEventRulesRequest, context: object
    ) -> rule_pb.ListEventRulesResponse:
        """Lists event rules."""
        rules = await self._api.list_event_rules(request.instance_id)
        return rule_pb.ListEventRulesResponse(rules=[to_event_rule(each) for each in rules])

    async def ListEventRecords(
        self, request: rule_pb.ListEventRecordsRequest, context: object
    ) -> rule_pb.ListEventRecordsResponse:
        """Lists what event rules had told."""
        records, total = await self._api.list_event_records(
            from_record_filter(request), offset=request.offset, size=request.page_size
        )
        return rule_pb.ListEventRecordsResponse(
            records=[to_event_record(each) for each in records], total_size=total
        )


class NotifierInnerServicer(inner_rpc.NotifierInnerServiceServicer):
    """NotifierInnerService over NotifierApi; for peers alone."""

    def __init__(self, api: NotifierApi) -> None:
        self._api = api

    async def CheckTargets(
        self, request: inner_pb.CheckTargetsRequest, context: object
    ) -> inner_pb.CheckTargetsResponse:
        """Checks that targets exist."""
        await self._api.check_targets(tuple(request.target_ids))
        return inner_pb.CheckTargetsResponse()


def inner_services(api: NotifierApi) -> tuple[Service, ...]:
    """Returns what the inner door of the notifier serves."""
    public, inner = NotifierServicer(api), NotifierInnerServicer(api)
    return (
        Service(
            name="drydock.notifier.v1.NotifierService",
            add=lambda server: rpc.add_NotifierServiceServicer_to_server(public, server),
        ),
        Service(
            name="drydock.notifier.v1.NotifierInnerService",
            add=lambda server: inner_rpc.add_NotifierInnerServiceServicer_to_server(inner, server),
        ),
    )
