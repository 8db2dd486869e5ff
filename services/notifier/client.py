"""NotifierApi across the network: what the application offers, met over gRPC."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from drydock.notifier.v1 import notifier_inner_service_pb2 as inner_pb
from drydock.notifier.v1 import notifier_service_pb2 as pb
from drydock.notifier.v1.notifier_inner_service_pb2_grpc import NotifierInnerServiceStub
from drydock.notifier.v1.notifier_service_pb2_grpc import NotifierServiceStub
from services.kernel.model.page import Page
from services.kernel.rpc.peer import Peer
from services.notifier.api import NewTarget, Target, TargetChange, TrialAnswer
from services.notifier.convert import from_target, from_trial_answer, to_change, to_new_target

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
