"""Deliveries and their attempts, between protobuf and our own values."""

from __future__ import annotations

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from drydock.notifier.v1 import delivery_pb2 as pb
from services.kernel.errors import invalid
from services.kernel.rpc.answers import answer_of
from services.notifier.api import Attempt, Delivery, DeliveryAccount, DeliveryFilter, DeliveryState

_STATES: dict[int, DeliveryState] = {
    pb.DeliveryState.Value(f"DELIVERY_STATE_{state.value}"): state for state in DeliveryState
}


def from_delivery_filter(request: pb.ListDeliveriesRequest) -> DeliveryFilter:
    """Reads which deliveries are wanted.

    Raises:
        ServiceError: INVALID_STATE, INVALID_TIME.
    """
    if request.state and request.state not in _STATES:
        raise invalid("INVALID_STATE", "That is no state of a delivery.", field="state")
    return DeliveryFilter(
        target=request.target,
        state=_STATES[request.state] if request.state else None,
        since=_moment(request.since, "since") if request.HasField("since") else None,
        until=_moment(request.until, "until") if request.HasField("until") else None,
    )


def to_list_deliveries(wanted: DeliveryFilter, *, page_size: int, page_token: str) -> pb.ListDeliveriesRequest:
    """Writes which deliveries are wanted."""
    return pb.ListDeliveriesRequest(
        target=wanted.target,
        state=_to_state(wanted.state) if wanted.state else pb.DELIVERY_STATE_UNSPECIFIED,
        since=_to_time(wanted.since),
        until=_to_time(wanted.until),
        page_size=page_size,
        page_token=page_token,
    )


def to_delivery(delivery: Delivery) -> pb.Delivery:
    """Writes a delivery."""
    return pb.Delivery(
        delivery_id=delivery.delivery_id,
        target_id=delivery.target_id,
        target=delivery.target,
        event_id=delivery.event_id,
        event=delivery.event,
        state=_to_state(delivery.state),
        reason=delivery.reason,
        message=delivery.message,
        attempts=delivery.attempts,
        replays=delivery.replays,
        create_time=_to_time(delivery.created_at),
        due_time=_to_time(delivery.due_at),
        end_time=_to_time(delivery.ended_at),
        told_in=delivery.told_in,
        trace_id=delivery.trace_id,
    )


@answer_of("notifier")
def from_delivery(said: pb.Delivery) -> Delivery:
    """Reads a delivery.

    Raises:
        ServiceError: NEWER_RELEASE for a state that this release does not know.
    """
    return Delivery(
        delivery_id=said.delivery_id,
        target_id=said.target_id,
        target=said.target,
        event_id=said.event_id,
        event=said.event,
        state=_STATES[said.state],
        reason=said.reason,
        message=said.message,
        attempts=said.attempts,
        replays=said.replays,
        created_at=said.create_time.ToDatetime(tzinfo=UTC),
        due_at=said.due_time.ToDatetime(tzinfo=UTC) if said.HasField("due_time") else None,
        ended_at=said.end_time.ToDatetime(tzinfo=UTC) if said.HasField("end_time") else None,
        told_in=said.told_in,
        trace_id=said.trace_id,
    )


def to_account(account: DeliveryAccount) -> pb.GetDeliveryResponse:
    """Writes all about one delivery."""
    return pb.GetDeliveryResponse(
        delivery=to_delivery(account.delivery),
        body=account.body,
        attempts=[
            pb.Attempt(
                attempt=each.attempt,
                outcome=each.outcome,
                reason=each.reason,
                message=each.message,
                http_status=each.http_status or 0,
                milliseconds=each.milliseconds,
                excerpt=each.excerpt,
                time=_to_time(each.created_at),
            )
            for each in account.attempts
        ],
    )


def from_account(said: pb.GetDeliveryResponse) -> DeliveryAccount:
    """Reads all about one delivery."""
    attempts = (
        Attempt(
            attempt=each.attempt,
            outcome=each.outcome,
            reason=each.reason,
            message=each.message,
            http_status=each.http_status or None,
            milliseconds=each.milliseconds,
            excerpt=each.excerpt,
            created_at=each.time.ToDatetime(tzinfo=UTC),
        )
        for each in said.attempts
    )
    return DeliveryAccount(delivery=from_delivery(said.delivery), body=said.body, attempts=tuple(attempts))


def _to_state(state: DeliveryState) -> pb.DeliveryState.ValueType:
    return pb.DeliveryState.Value(f"DELIVERY_STATE_{state.value}")


def _to_time(moment: datetime | None) -> Timestamp | None:
    if moment is None:
        return None
    time = Timestamp()
    time.FromDatetime(moment)
    return time


def _moment(said: Timestamp, field: str) -> datetime:
    try:
        return said.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid("INVALID_TIME", f"The time of {field} is none.", field=field) from None
