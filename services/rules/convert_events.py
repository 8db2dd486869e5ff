"""Messages of the bus to values, and values to messages."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from drydock.events.v1 import image_event_pb2, scan_request_pb2
from services.kernel import trace
from services.kernel.bus.interface import BULK_REQUESTS, IMAGE_EVENTS, SCAN_REQUESTS, Message
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import Digest, is_digest
from services.kernel.model.reference import RepositoryName, parse_tag
from services.rules.events import ScanRequest, TagListing, TagPushed
from services.rules.grammar import checked_repository, may_name_instance

_PUSH = image_event_pb2.ImageEvent.ACTION_PUSH
_DELETE = image_event_pb2.ImageEvent.ACTION_DELETE
_OTHERS = (_DELETE, image_event_pb2.ImageEvent.ACTION_PULL, image_event_pb2.ImageEvent.ACTION_LIST)


def from_image_event(value: bytes, traceparent: str = "") -> TagPushed | None:
    """Reads an image event; None for what is no push of a tag, whatever else it holds.

    Raises:
        ServiceError: BAD_EVENT, or INVALID_REFERENCE for a name that no registry allows.
    """
    try:
        event = image_event_pb2.ImageEvent.FromString(value)
    except DecodeError as error:
        raise _bad("the bytes are no ImageEvent") from error
    if event.action in _OTHERS:
        return None
    if event.action != _PUSH:
        raise _bad(f"the action {event.action} is unknown")
    if not event.tag:
        return None
    if not may_name_instance(event.instance_id):
        raise _bad("the instance id is malformed")
    if not is_digest(event.digest):
        raise _bad("the digest is malformed")
    return TagPushed(
        event_id=_uuid(event.event_id),
        instance_id=event.instance_id,
        repository=checked_repository(event.namespace, event.repository),
        tag=parse_tag(event.tag),
        digest=Digest(event.digest),
        revision=event.revision,
        traceparent=traceparent,
    )


def to_message(request: ScanRequest) -> Message:
    """Writes a scan request as a message, keyed by digest; one of many goes on a topic of its own."""
    requested_at = Timestamp()
    requested_at.FromDatetime(request.requested_at)
    body = scan_request_pb2.ScanRequest(
        task_id=request.task_id,
        instance_id=request.instance_id,
        repo_id=request.repo_id,
        namespace=request.repository.namespace,
        repository=request.repository.name,
        tag=request.tag,
        digest=request.digest,
        revision=request.revision,
        engine=request.engine.value,
        rule_ids=request.rule_ids,
        target_ids=request.target_ids,
        requested_at=requested_at,
        lane=scan_request_pb2.ScanRequest.LANE_BULK if request.bulk else scan_request_pb2.ScanRequest.LANE_PUSH,
        run_id=request.run_id,
    )
    if request.asked_at is not None:
        body.asked_at.FromDatetime(request.asked_at)
    return Message(
        topic=BULK_REQUESTS if request.bulk else SCAN_REQUESTS,
        key=request.digest.encode(),
        value=body.SerializeToString(),
        headers=trace.headers_after(request.traceparent),
    )


def instance_deleted(instance_id: str, *, event_id: str, at: datetime) -> Message:
    """Writes that an instance was deleted here."""
    event = image_event_pb2.ImageEvent(
        event_id=event_id, instance_id=instance_id, action=image_event_pb2.ImageEvent.ACTION_DELETE
    )
    event.occurred_at.FromDatetime(at)
    return Message(topic=IMAGE_EVENTS, key=f"{instance_id}/".encode(), value=event.SerializeToString())


def repository_deleted(instance_id: str, repository: RepositoryName, *, event_id: str, at: datetime) -> Message:
    """Writes that a registry does not know a repository any more."""
    return _about(instance_id, repository, _DELETE, event_id=event_id, at=at)


def repository_listed(instance_id: str, listing: TagListing, *, event_id: str) -> Message:
    """Writes which tags a registry has in a repository."""
    tags = [image_event_pb2.ListedTag(tag=tag, digest=digest) for tag, digest in listing.tags.items()]
    return _about(
        instance_id,
        listing.repository,
        image_event_pb2.ImageEvent.ACTION_LIST,
        event_id=event_id,
        at=listing.began_at,
        tags=tags,
        walk=listing.walk,
        last=listing.last,
    )


def _about(
    instance_id: str,
    repository: RepositoryName,
    action: image_event_pb2.ImageEvent.Action.ValueType,
    *,
    event_id: str,
    at: datetime,
    tags: Sequence[image_event_pb2.ListedTag] = (),
    walk: int = 0,
    last: bool = False,
) -> Message:
    event = image_event_pb2.ImageEvent(
        event_id=event_id,
        instance_id=instance_id,
        action=action,
        namespace=repository.namespace,
        repository=repository.name,
        tags=tags,
        walk=walk,
        last=last,
    )
    event.occurred_at.FromDatetime(at)
    key = f"{instance_id}/{repository.path}".encode()
    return Message(topic=IMAGE_EVENTS, key=key, value=event.SerializeToString())


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise _bad("the event id is no UUID") from error


def _bad(why: str) -> ServiceError:
    return invalid("BAD_EVENT", f"An image event cannot be read: {why}.")
