"""Messages about the stream of findings to values and back."""

from __future__ import annotations

from datetime import UTC, datetime

from drydock.scanner.v1 import scanner_service_pb2 as pb
from services.kernel.errors import invalid


def to_events_request(since: datetime | None, cursor: str, limit: int) -> pb.ReadFindingEventsRequest:
    """Writes where to read on."""
    request = pb.ReadFindingEventsRequest(cursor=cursor, limit=limit)
    if since is not None:
        request.since.FromDatetime(since)
    return request


def from_since(request: pb.ReadFindingEventsRequest) -> datetime | None:
    """Reads the moment that is named.

    Raises:
        ServiceError: INVALID_TIME.
    """
    if not request.HasField("since"):
        return None
    try:
        return request.since.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise invalid("INVALID_TIME", "`since` is no moment.", field="since") from error
