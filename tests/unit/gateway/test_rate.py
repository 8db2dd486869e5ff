"""How many events the senders of one instance may bring."""

from __future__ import annotations

import pytest

from services.gateway.webhooks.rate import InstanceRates
from services.kernel.errors import Kind, ServiceError
from tests.fakes.clock import ManualClock


def refused(rates: InstanceRates, instance_id: str = "cri-1") -> ServiceError | None:
    try:
        rates.enter(instance_id)
    except ServiceError as error:
        return error
    return None


def test_a_second_has_its_events_and_no_more() -> None:
    clock = ManualClock()
    rates = InstanceRates(clock, 10)
    assert [refused(rates) for _ in range(10)] == [None] * 10

    error = refused(rates)

    assert error is not None
    assert (error.kind, error.reason) == (Kind.RESOURCE_EXHAUSTED, "WEBHOOK_RATE")
    assert error.retry_after == pytest.approx(0.1)
    clock.advance(0.1)
    assert refused(rates) is None
    assert refused(rates) is not None


def test_one_instance_does_not_keep_another_out() -> None:
    rates = InstanceRates(ManualClock(), 1)
    assert refused(rates, "cri-1") is None
    assert refused(rates, "cri-1") is not None
    assert refused(rates, "cri-2") is None


def test_what_a_delivery_holds_too_many_the_next_one_waits_for() -> None:
    clock = ManualClock()
    rates = InstanceRates(clock, 10)
    rates.enter("cri-1")
    rates.count("cri-1", 999)

    error = refused(rates)
    assert error is not None
    assert error.retry_after == pytest.approx(99.1)
    clock.advance(99.2)
    assert refused(rates) is None


def test_what_is_not_used_does_not_pile_up() -> None:
    clock = ManualClock()
    rates = InstanceRates(clock, 2)
    clock.advance(3600)
    assert [refused(rates) is None for _ in range(3)] == [True, True, False]


def test_less_than_one_event_a_second_is_still_one_now_and_then() -> None:
    clock = ManualClock()
    rates = InstanceRates(clock, 0.1)
    assert refused(rates) is None
    clock.advance(9)
    assert refused(rates) is not None
    clock.advance(1.1)
    assert refused(rates) is None
