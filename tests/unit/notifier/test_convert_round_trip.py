"""Whatever the notifier says crosses the network unchanged, field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.notifier.v1 import notifier_service_pb2, subscription_pb2
from services.kernel.errors import ServiceError
from services.notifier import convert
from services.notifier.api import Subscription, Target, TargetKind
from services.notifier.convert_telling import answered_subscription, from_subscription, to_subscription
from tests.builders.whole import whole


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


@given(st.sampled_from(TargetKind))
def test_kinds(kind: TargetKind) -> None:
    assert convert.from_kind(convert.to_kind(kind)) is kind


def test_a_kind_of_a_newer_release_is_a_clear_error() -> None:
    said = notifier_service_pb2.Target()
    said.kind = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as caught:
        convert.from_target(said)
    assert caught.value.reason == "NEWER_RELEASE"
