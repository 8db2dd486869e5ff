"""Messages about tags and about what went, to values and back."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.scanner.v1 import sync_pb2
from services.scanner.api import Removal, SeenTag


def to_removal(removal: Removal) -> sync_pb2.Removal:
    """Writes a removal."""
    return sync_pb2.Removal(
        removal_id=removal.removal_id,
        instance_id=removal.instance_id,
        repo_id=removal.repo_id,
        namespace=removal.namespace,
        repository=removal.repository,
        tag=removal.tag,
        digest=removal.digest,
        cause=removal.cause,
        note_time=_timestamp(removal.noted_at),
        due_time=_timestamp(removal.due_at),
        end_time=_timestamp(removal.ended_at),
        tasks=removal.tasks,
        reports=removal.reports,
    )


def from_removal(said: sync_pb2.Removal) -> Removal:
    """Reads a removal."""
    return Removal(
        removal_id=said.removal_id,
        instance_id=said.instance_id,
        repo_id=said.repo_id,
        namespace=said.namespace,
        repository=said.repository,
        tag=said.tag,
        digest=said.digest,
        cause=said.cause,
        noted_at=said.note_time.ToDatetime(UTC),
        due_at=said.due_time.ToDatetime(UTC),
        ended_at=said.end_time.ToDatetime(UTC) if said.HasField("end_time") else None,
        tasks=said.tasks,
        reports=said.reports,
    )


def to_seen_tag(tag: SeenTag) -> sync_pb2.SeenTag:
    """Writes a tag as last seen."""
    return sync_pb2.SeenTag(
        tag=tag.tag, digest=tag.digest, seen_time=_timestamp(tag.seen_at), pull_time=_timestamp(tag.pulled_at)
    )


def from_seen_tag(said: sync_pb2.SeenTag) -> SeenTag:
    """Reads a tag as last seen."""
    return SeenTag(
        tag=said.tag,
        digest=said.digest,
        seen_at=said.seen_time.ToDatetime(UTC) if said.HasField("seen_time") else None,
        pulled_at=said.pull_time.ToDatetime(UTC) if said.HasField("pull_time") else None,
    )


def _timestamp(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    written = Timestamp()
    written.FromDatetime(moment)
    return written
