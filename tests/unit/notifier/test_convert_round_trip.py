"""Whatever the notifier says crosses the network unchanged, field by field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.notifier.v1 import notifier_service_pb2
from services.kernel.errors import ServiceError
from services.notifier import convert
from services.notifier.api import Target, TargetKind
from tests.builders.whole import whole


@given(whole(Target))
def test_targets(target: Target) -> None:
    assert convert.from_target(convert.to_target(target)) == target


@given(st.sampled_from(TargetKind))
def test_kinds(kind: TargetKind) -> None:
    assert convert.from_kind(convert.to_kind(kind)) is kind


def test_a_kind_of_a_newer_release_is_a_clear_error() -> None:
    said = notifier_service_pb2.Target()
    said.kind = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as caught:
        convert.from_target(said)
    assert caught.value.reason == "NEWER_RELEASE"
