"""FixerApi across the network: what the application offers, met over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from drydock.fixer.v1 import fixer_service_pb2 as pb
from drydock.fixer.v1.fixer_service_pb2_grpc import FixerServiceStub
from services.fixer.api import FixFilter, FixPreview, FixRequest, FixTask
from services.fixer.convert import from_preview, from_task, to_filter, to_order
from services.kernel.model.page import Page
from services.kernel.rpc.peer import Peer

if TYPE_CHECKING:  # the asynchronous stubs are types only
    from drydock.fixer.v1.fixer_service_pb2_grpc import FixerServiceAsyncStub

SERVICE = "drydock.fixer.v1.FixerService"
"""What a peer must serve to be the fixer."""
_PREVIEW_SECONDS = 600.0
"""The fixer's own limit is lower, by default: it says so itself."""


class FixerClient:
    """FixerApi over a peer. Errors are those of the application, and what `Peer` adds."""

    def __init__(self, peer: Peer) -> None:
        fixer: FixerServiceAsyncStub = FixerServiceStub(peer.channel)
        self._preview = peer.lasting(fixer.PreviewFix)
        self._create = peer.repeatable(fixer.CreateFixTask)
        self._get = peer.repeatable(fixer.GetFixTask)
        self._list = peer.repeatable(fixer.ListFixTasks)
        self._cancel = peer.repeatable(fixer.CancelFixTask)
        self._revert = peer.repeatable(fixer.RevertFixTask)

    async def preview_fix(self, wanted: FixRequest) -> FixPreview:
        """Tells what a fix would do."""
        answer = await self._preview(pb.PreviewFixRequest(order=to_order(wanted)), _PREVIEW_SECONDS)
        return from_preview(answer.preview)

    async def create_fix(
        self, wanted: FixRequest, *, target_ids: tuple[str, ...] = (), request_id: str = ""
    ) -> FixTask:
        """Saves a task. Sent again without a request id it is the same, too: of a tag there is one at a time."""
        request = pb.CreateFixTaskRequest(order=to_order(wanted), target_ids=target_ids, request_id=request_id)
        return from_task((await self._create(request)).task)

    async def get_fix(self, task_id: str) -> FixTask:
        """Returns one task."""
        return from_task((await self._get(pb.GetFixTaskRequest(task_id=task_id))).task)

    async def list_fixes(
        self, wanted: FixFilter | None = None, *, page_size: int = 0, page_token: str = ""
    ) -> Page[FixTask]:
        """Lists tasks, newest first."""
        answer = await self._list(to_filter(wanted or FixFilter(), page_size=page_size, page_token=page_token))
        return Page(items=tuple(map(from_task, answer.tasks)), next_token=answer.next_page_token)

    async def cancel_fix(self, task_id: str) -> FixTask:
        """Calls off a task; see FixerApi."""
        return from_task((await self._cancel(pb.CancelFixTaskRequest(task_id=task_id))).task)

    async def revert_fix(self, task_id: str) -> FixTask:
        """Has what the written tag held before put back; see FixerApi."""
        return from_task((await self._revert(pb.RevertFixTaskRequest(task_id=task_id))).task)
