"""Notices of webhooks to messages of the bus."""

from __future__ import annotations

from datetime import datetime

from drydock.events.v1 import image_event_pb2 as pb
from services.gateway.webhooks.envelope import Action, Notice
from services.kernel import trace
from services.kernel.bus.interface import IMAGE_EVENTS, Message

_ACTIONS = {
    Action.PUSH: pb.ImageEvent.ACTION_PUSH,
    Action.DELETE: pb.ImageEvent.ACTION_DELETE,
    Action.PULL: pb.ImageEvent.ACTION_PULL,
}


def to_message(instance_id: str, notice: Notice, *, revision: int, now: datetime) -> Message:
    """Writes an image event; `now` stands for a time that the registry did not tell."""
    event = pb.ImageEvent(
        event_id=notice.event_id,
        instance_id=instance_id,
        action=_ACTIONS[notice.action],
        namespace=notice.repository.namespace,
        repository=notice.repository.name,
        tag=notice.tag,
        digest=notice.digest,
        media_type=notice.media_type,
        revision=revision,
        actor=notice.actor,
    )
    event.occurred_at.FromDatetime(notice.occurred_at or now)
    return Message(
        topic=IMAGE_EVENTS,
        key=f"{instance_id}/{notice.repository.path}".encode(),
        value=event.SerializeToString(),
        headers=trace.headers_after(trace.current()),
    )
