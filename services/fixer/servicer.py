"""The gRPC face of the fixer."""

from __future__ import annotations

from drydock.fixer.v1 import fixer_service_pb2 as pb
from drydock.fixer.v1 import fixer_service_pb2_grpc as rpc
from services.fixer.api import FixerApi
from services.fixer.convert import from_filter, from_order, to_preview, to_task
from services.kernel.rpc.server import Service


class FixerServicer(rpc.FixerServiceServicer):
    """FixerService over FixerApi."""

    def __init__(self, api: FixerApi) -> None:
        self._api = api

    async def PreviewFix(self, request: pb.PreviewFixRequest, context: object) -> pb.PreviewFixResponse:
        """Tells what a fix would do."""
        return pb.PreviewFixResponse(preview=to_preview(await self._api.preview_fix(from_order(request.order))))

    async def CreateFixTask(self, request: pb.CreateFixTaskRequest, context: object) -> pb.CreateFixTaskResponse:
        """Starts a fix."""
        task = await self._api.create_fix(
            from_order(request.order), target_ids=tuple(request.target_ids), request_id=request.request_id
        )
        return pb.CreateFixTaskResponse(task=to_task(task))

    async def GetFixTask(self, request: pb.GetFixTaskRequest, context: object) -> pb.GetFixTaskResponse:
        """Returns one task."""
        return pb.GetFixTaskResponse(task=to_task(await self._api.get_fix(request.task_id)))

    async def ListFixTasks(self, request: pb.ListFixTasksRequest, context: object) -> pb.ListFixTasksResponse:
        """Lists tasks."""
        page = await self._api.list_fixes(
            from_filter(request), page_size=request.page_size, page_token=request.page_token
        )
        return pb.ListFixTasksResponse(tasks=map(to_task, page.items), next_page_token=page.next_token)

    async def CancelFixTask(self, request: pb.CancelFixTaskRequest, context: object) -> pb.CancelFixTaskResponse:
        """Calls off a task."""
        return pb.CancelFixTaskResponse(task=to_task(await self._api.cancel_fix(request.task_id)))

    async def RevertFixTask(self, request: pb.RevertFixTaskRequest, context: object) -> pb.RevertFixTaskResponse:
        """Has what the written tag held before put back."""
        return pb.RevertFixTaskResponse(task=to_task(await self._api.revert_fix(request.task_id)))


def inner_services(api: FixerApi) -> tuple[Service, ...]:
    """Returns what the inner door of the fixer serves."""
    servicer = FixerServicer(api)
    return (
        Service(
            name="drydock.fixer.v1.FixerService",
            add=lambda server: rpc.add_FixerServiceServicer_to_server(servicer, server),
        ),
    )
