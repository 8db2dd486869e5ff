"""Whatever the notifier says crosses the network unchanged, field by field."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.notifier.v1 import notifier_service_pb2
from services.kernel.errors import ServiceError
from services.notifier import convert
from services.notifier.api import Format, NewTarget, Target, TargetChange, TargetKind, TrialAnswer
from tests.builders.whole import whole

SPANS = st.timedeltas(timedelta(0), timedelta(days=30))


@given(whole(Target))
def test_targets(target: Target) -> None:
    assert convert.from_target(convert.to_target(target)) == target


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
