"""The gRPC face of the notifier."""

from __future__ import annotations

from drydock.notifier.v1 import notifier_inner_service_pb2 as inner_pb
from drydock.notifier.v1 import notifier_inner_service_pb2_grpc as inner_rpc
from drydock.notifier.v1 import notifier_service_pb2 as pb
from drydock.notifier.v1 import notifier_service_pb2_grpc as rpc
from services.kernel.rpc.server import Service
from services.notifier.api import NotifierApi
from services.notifier.convert import from_change, from_new_target, to_target, to_trial_answer


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
