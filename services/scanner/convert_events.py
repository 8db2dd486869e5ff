"""What the scanner reads from and writes to the bus, between protobuf and our own values."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from google.protobuf.message import DecodeError
from google.protobuf.timestamp_pb2 import Timestamp

from drydock.events.v1 import image_event_pb2, scan_event_pb2, scan_request_pb2
from services.kernel import trace
from services.kernel.bus.interface import IMAGE_EVENTS, SCAN_EVENTS, Message, Record
from services.kernel.errors import ServiceError, invalid
from services.kernel.model.digest import Digest, is_digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName
from services.kernel.model.repository_id import repository_id
from services.scanner.api import State
from services.scanner.events import Deleted, Listed, Pulled, ScanRequested, TagPushed
from services.scanner.lanes import LANE_BULK, LANE_PERSON, LANE_PUSH, LANE_REEVALUATION
from services.scanner.records import Difference, ImageAddress, TaskRecord
from services.scanner.tags.records import Subject

_STATES = {
    State.PENDING: scan_event_pb2.ScanEvent.STATE_SCANNING,
    State.RUNNING: scan_event_pb2.ScanEvent.STATE_SCANNING,
    State.RETRYING: scan_event_pb2.ScanEvent.STATE_RETRYING,
    State.COMPLETE: scan_event_pb2.ScanEvent.STATE_COMPLETE,
    State.FAILED: scan_event_pb2.ScanEvent.STATE_FAILED,
}
_LANES: Mapping[int, int] = MappingProxyType(
    {
        scan_request_pb2.ScanRequest.LANE_UNSPECIFIED: LANE_PUSH,
        scan_request_pb2.ScanRequest.LANE_PUSH: LANE_PUSH,
        scan_request_pb2.ScanRequest.LANE_PERSON: LANE_PERSON,
        scan_request_pb2.ScanRequest.LANE_REEVALUATION: LANE_REEVALUATION,
        scan_request_pb2.ScanRequest.LANE_BULK: LANE_BULK,
    }
)


def from_image_event(record: Record) -> TagPushed | Deleted | Pulled | Listed | None:
    """Reads a record of `drydock.image.events.v1`; None for a push without a tag, and for what is not known yet.

    Raises:
        ServiceError: BAD_EVENT when it cannot be read.
    """
    try:
        event = image_event_pb2.ImageEvent.FromString(record.message.value)
    except DecodeError as error:
        raise _bad("the bytes are no ImageEvent") from error
    read = _READERS.get(event.action)
    return read(event) if read else None


def _push(event: image_event_pb2.ImageEvent) -> TagPushed | None:
    if not event.tag:
        return None
    return TagPushed(
        event_id=_uuid(event.event_id),
        image=_address(event.instance_id, event.namespace, event.repository, event.tag, event.digest),
        revision=event.revision,
        occurred_at=_moment(event.occurred_at),
    )


def _deletion(event: image_event_pb2.ImageEvent) -> Deleted:
    return Deleted(subject=_subject(event, tag=event.tag, digest="" if event.tag else event.digest))


def _pull(event: image_event_pb2.ImageEvent) -> Pulled:
    image = _address(event.instance_id, event.namespace, event.repository, event.tag, event.digest)
    references = (image.digest, image.tag) if image.tag else (image.digest,)
    return Pulled(repo_id=image.repo_id, references=references, occurred_at=_moment(event.occurred_at))


def _listing(event: image_event_pb2.ImageEvent) -> Listed:
    return Listed(
        subject=_subject(event),
        tags={listed.tag: _digest(listed.digest) for listed in event.tags},
        walk=event.walk,
        began_at=_moment(event.occurred_at),
        last=event.last,
    )


_READERS: dict[int, Callable[[image_event_pb2.ImageEvent], TagPushed | Deleted | Pulled | Listed | None]] = {
    image_event_pb2.ImageEvent.ACTION_PUSH: _push,
    image_event_pb2.ImageEvent.ACTION_DELETE: _deletion,
    image_event_pb2.ImageEvent.ACTION_PULL: _pull,
    image_event_pb2.ImageEvent.ACTION_LIST: _listing,
}


def found_image(subject: Subject, digest: Digest, *, event_id: str, revision: int, at: datetime) -> Message:
    """Writes the event of a tag that the registry has and nobody told of: as if it had been pushed just now.

    Args:
        subject: the tag.
        digest: what it has.
        event_id: UUID.
        revision: that of the tag: a push that is told of later is newer.
        at: when the registry was asked.
    """
    event = image_event_pb2.ImageEvent(
        event_id=event_id,
        instance_id=subject.instance_id,
        action=image_event_pb2.ImageEvent.ACTION_PUSH,
        namespace=subject.namespace,
        repository=subject.repository,
        tag=subject.tag,
        digest=digest,
        revision=revision,
    )
    event.occurred_at.FromDatetime(at)
    return Message(
        topic=IMAGE_EVENTS,
        key=f"{subject.instance_id}/{subject.name.path}".encode(),
        value=event.SerializeToString(),
    )


def from_scan_request(record: Record) -> ScanRequested:
    """Reads a record of `drydock.scan.requests.v1`.

    Raises:
        ServiceError: BAD_EVENT when it cannot be read.
    """
    try:
        request = scan_request_pb2.ScanRequest.FromString(record.message.value)
    except DecodeError as error:
        raise _bad("the bytes are no ScanRequest") from error
    return ScanRequested(
        task_id=_uuid(request.task_id),
        image=_address(request.instance_id, request.namespace, request.repository, request.tag, request.digest),
        revision=request.revision,
        engine=_engine(request.engine),
        rule_ids=tuple(request.rule_ids),
        target_ids=tuple(request.target_ids),
        requested_at=_moment(request.requested_at),
        asked_at=_moment(request.asked_at) if request.HasField("asked_at") else None,
        run_id=_uuid(request.run_id) if request.run_id else "",
        traceparent=record.traceparent,
        lane=_LANES.get(request.lane, LANE_BULK),  # what a newer sender may call a lane can wait
    )


def to_scan_event(
    task: TaskRecord, event_id: str, occurred_at: datetime, difference: Difference | None = None
) -> Message:
    """Writes the event that tells how a task stands now, and what newer advisories changed, if they did."""
    at = Timestamp()
    at.FromDatetime(occurred_at)
    image, outcome = task.image, task.outcome
    event = scan_event_pb2.ScanEvent(
        event_id=event_id,
        task_id=task.task_id,
        state=_STATES[outcome.state],
        instance_id=image.instance_id,
        repo_id=image.repo_id,
        namespace=image.namespace,
        repository=image.repository,
        tag=image.tag,
        digest=image.digest,
        engine=task.engine.value,
        reason=outcome.reason,
        message=outcome.message,
        findings={severity.value: count for severity, count in outcome.findings.items()},
        coverage=outcome.coverage.value if outcome.coverage else "",
        advisories_version=outcome.advisories_version,
        rule_ids=task.rule_ids,
        target_ids=task.target_ids,
        occurred_at=at,
        reevaluation=_reevaluation(difference) if difference is not None else None,
    )
    return Message(
        topic=SCAN_EVENTS,
        key=image.digest.encode(),
        value=event.SerializeToString(),
        headers=trace.headers_after(task.traceparent),
    )


def _reevaluation(difference: Difference) -> scan_event_pb2.Reevaluation:
    return scan_event_pb2.Reevaluation(
        previous_version=difference.previous_version,
        new_findings={severity.value: count for severity, count in difference.new.items()},
        gone_findings={severity.value: count for severity, count in difference.gone.items()},
        changed_findings=difference.changed,
        first=difference.first,
        superseded=difference.superseded,
        new_malicious_samples=difference.malicious,
    )


def _address(instance_id: str, namespace: str, repository: str, tag: str, digest: str) -> ImageAddress:
    name = RepositoryName(namespace=namespace, name=repository)
    return ImageAddress(
        instance_id=instance_id,
        repo_id=repository_id(instance_id, name),
        namespace=namespace,
        repository=repository,
        tag=tag,
        digest=_digest(digest),
    )


def _subject(event: image_event_pb2.ImageEvent, *, tag: str = "", digest: str = "") -> Subject:
    if not event.repository:
        return Subject(instance_id=event.instance_id)
    name = RepositoryName(namespace=event.namespace, name=event.repository)
    return Subject(
        instance_id=event.instance_id,
        repo_id=repository_id(event.instance_id, name),
        namespace=event.namespace,
        repository=event.repository,
        tag=tag,
        digest=_digest(digest) if digest else "",
    )


def _digest(text: str) -> Digest:
    if not is_digest(text):
        raise _bad("the digest is malformed")
    return Digest(text)


def _uuid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise _bad("its id is no UUID") from error


def _moment(said: Timestamp) -> datetime:
    try:
        return said.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise _bad("its time is none") from error


def _engine(word: str) -> Engine:
    try:
        return Engine(word)
    except ValueError as error:
        raise _bad(f"the engine {word[:40]!r} is unknown") from error


def _bad(why: str) -> ServiceError:
    return invalid("BAD_EVENT", f"A record of the bus cannot be read: {why}.")
