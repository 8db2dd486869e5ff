"""Whatever the notifier says crosses the network unchanged, field by field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.notifier import convert
from services.notifier.api import Target, TargetKind
from tests.builders.whole import whole


@given(whole(Target))
def test_targets(target: Target) -> None:
    assert convert.from_target(convert.to_target(target)) == target


@given(st.sampled_from(TargetKind))
def test_kinds(kind: TargetKind) -> None:
    assert convert.from_kind(convert.to_kind(kind)) is kind
