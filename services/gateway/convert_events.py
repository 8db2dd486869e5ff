"""Notices of webhooks to messages of the bus."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from drydock.events.v1 import image_event_pb2 as pb
from services.gateway.webhooks.notice import Action, Notice
from services.kernel import trace
from services.kernel.bus.interface import IMAGE_EVENTS, Message

_ACTIONS = {
    Action.PUSH: pb.ImageEvent.ACTION_PUSH,
    Action.DELETE: pb.ImageEvent.ACTION_DELETE,
    Action.PULL: pb.ImageEvent.ACTION_PULL,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """An image event that lacks only its revision."""

    event: pb.ImageEvent
    key: bytes
    headers: Mapping[str, str]

    def numbered(self, revision: int) -> Message:
        """Writes the message, once."""
        self.event.revision = revision
        return Message(
            topic=IMAGE_EVENTS, key=self.key, value=self.event.SerializeToString(), headers=self.headers
        )


def to_draft(instance_id: str, notice: Notice, now: datetime) -> Draft:
    """Writes an image event of the current trace; `now` stands for a time that the registry did not tell."""
    event = pb.ImageEvent(
        event_id=notice.event_id,
        instance_id=instance_id,
        action=_ACTIONS[notice.action],
        namespace=notice.repository.namespace,
        repository=notice.repository.name,
        tag=notice.tag,
        digest=notice.digest,
        media_type=notice.media_type,
        actor=notice.actor,
    )
    event.occurred_at.FromDatetime(notice.occurred_at or now)
    return Draft(event, f"{instance_id}/{notice.repository.path}".encode(), trace.headers_after(trace.current()))
