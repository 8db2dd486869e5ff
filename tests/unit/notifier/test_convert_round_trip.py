"""Whatever the notifier says crosses the network unchanged, field by field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.notifier.v1 import delivery_pb2, notifier_service_pb2, subscription_pb2
from services.kernel.errors import ServiceError
from services.notifier import convert, convert_delivery, convert_event_rule
from services.notifier.api import (
    Attempt,
    Delivery,
    DeliveryAccount,
    DeliveryFilter,
    EventRecord,
    EventRecordFilter,
    EventRule,
    Format,
    NewTarget,
    Subscription,
    Target,
    TargetChange,
    TargetKind,
    TrialAnswer,
)
from services.notifier.convert_telling import answered_subscription, from_subscription, to_subscription
from tests.builders.whole import whole

COUNTS = st.integers(0, 2**31 - 1)
SPANS = st.timedeltas(timedelta(0), timedelta(days=30))


@given(whole(Target))
def test_targets(target: Target) -> None:
    assert convert.from_target(convert.to_target(target)) == target


@given(whole(Subscription, window_seconds=st.integers(0, 2**31 - 1)))
def test_subscriptions(subscription: Subscription) -> None:
    assert from_subscription(to_subscription(subscription)) == subscription


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (subscription_pb2.Subscription(occasions=[subscription_pb2.OCCASION_UNSPECIFIED]), "INVALID_SUBSCRIPTION"),
        (subscription_pb2.Subscription(min_severity="BAD"), "INVALID_SEVERITY"),
    ],
)
def test_unknown_words_of_callers_are_refused(said: subscription_pb2.Subscription, reason: str) -> None:
    with pytest.raises(ServiceError) as caught:
        from_subscription(said)
    assert caught.value.reason == reason
    with pytest.raises(ServiceError) as answered:
        answered_subscription(said)
    assert answered.value.reason == "NEWER_RELEASE"


DELIVERIES = whole(Delivery, attempts=COUNTS, replays=COUNTS)


@given(
    whole(
        DeliveryAccount,
        delivery=DELIVERIES,
        attempts=st.lists(
            whole(Attempt, attempt=COUNTS, milliseconds=COUNTS, http_status=st.none() | st.integers(100, 599)),
            max_size=3,
        ).map(tuple),
    )
)
def test_accounts_of_deliveries(account: DeliveryAccount) -> None:
    assert convert_delivery.from_account(convert_delivery.to_account(account)) == account


@given(whole(DeliveryFilter))
def test_filters_of_deliveries(wanted: DeliveryFilter) -> None:
    request = convert_delivery.to_list_deliveries(wanted, page_size=3, page_token="t")
    assert convert_delivery.from_delivery_filter(request) == wanted
    assert (request.page_size, request.page_token) == (3, "t")


def test_a_state_of_a_newer_release_is_a_clear_error() -> None:
    said = delivery_pb2.Delivery()
    said.state = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as caught:
        convert_delivery.from_delivery(said)
    assert caught.value.reason == "NEWER_RELEASE"


@given(whole(EventRule, event_type=st.text(min_size=1)))
def test_event_rules(rule: EventRule) -> None:
    assert convert_event_rule.answered_event_rule(convert_event_rule.to_event_rule(rule)) == rule


@given(whole(EventRecord))
def test_event_records(record: EventRecord) -> None:
    assert convert_event_rule.from_event_record(convert_event_rule.to_event_record(record)) == record


@given(whole(EventRecordFilter))
def test_filters_of_event_records(wanted: EventRecordFilter) -> None:
    request = convert_event_rule.to_record_filter(wanted, offset=5, size=7)
    assert convert_event_rule.from_record_filter(request) == wanted
    assert (request.offset, request.page_size) == (5, 7)


@given(whole(NewTarget))
def test_new_targets(new: NewTarget) -> None:
    assert convert.from_new_target(convert.to_new_target(new)) == new


@given(whole(TargetChange, overlap=st.none() | SPANS))
def test_changes_of_targets(change: TargetChange) -> None:
    assert convert.from_change(convert.to_change("tgt-1", change)) == change


@given(whole(TrialAnswer, status=st.none() | st.integers(0, 999), duration=SPANS))
def test_answers_of_trials(answer: TrialAnswer) -> None:
    assert convert.from_trial_answer(convert.to_trial_answer(answer)) == answer


@given(st.sampled_from(Format))
def test_formats(form: Format) -> None:
    assert convert.from_format(convert.to_format(form)) is form


@given(st.sampled_from(TargetKind))
def test_kinds(kind: TargetKind) -> None:
    assert convert.from_kind(convert.to_kind(kind)) is kind


def test_a_kind_of_a_newer_release_is_a_clear_error() -> None:
    said = notifier_service_pb2.Target()
    said.kind = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as caught:
        convert.from_target(said)
    assert caught.value.reason == "NEWER_RELEASE"


def test_an_overlap_that_is_no_time_is_refused() -> None:
    request = notifier_service_pb2.UpdateTargetRequest(target="chat", secret="new")
    request.overlap.seconds = 2**62
    with pytest.raises(ServiceError) as caught:
        convert.from_change(request)
    assert (caught.value.reason, caught.value.field) == ("INVALID_OVERLAP", "overlap")
