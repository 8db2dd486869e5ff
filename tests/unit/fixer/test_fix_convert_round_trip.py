"""Orders, tasks and previews come back from protobuf as they went."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drydock.fixer.v1 import fix_pb2, fixer_service_pb2
from services.fixer import convert
from services.fixer.api import (
    FindingFate,
    FixedPackage,
    FixFilter,
    FixPreview,
    FixRequest,
    FixState,
    FixTask,
    PlatformFix,
)
from services.kernel.errors import ServiceError
from services.kernel.model.digest import digest_of
from tests.builders.whole import whole

COUNTS = st.integers(0, 2**31 - 1)
DIGESTS = st.binary(max_size=4).map(digest_of)
PLATFORMS = st.lists(
    whole(
        PlatformFix,
        packages=st.lists(whole(FixedPackage), max_size=2).map(tuple),
        findings=st.lists(whole(FindingFate), max_size=2).map(tuple),
        layer_bytes=st.integers(0, 2**63 - 1),
    ),
    max_size=2,
).map(tuple)


@given(whole(FixRequest, digest=st.none() | DIGESTS))
def test_orders(wanted: FixRequest) -> None:
    assert convert.from_order(convert.to_order(wanted)) == wanted


@given(whole(FixPreview, digest=DIGESTS, platforms=PLATFORMS))
def test_previews(preview: FixPreview) -> None:
    assert convert.from_preview(convert.to_preview(preview)) == preview


_COUNTED = ("progress_done", "progress_total", "fixed", "still_present", "not_fixable", "new_findings", "attempts")


@given(
    whole(
        FixTask,
        digest=DIGESTS,
        platforms=PLATFORMS,
        attached=st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
        **dict.fromkeys(_COUNTED, COUNTS),
    )
)
def test_tasks(task: FixTask) -> None:
    assert convert.from_task(convert.to_task(task)) == task


@given(whole(FixFilter))
def test_filters(wanted: FixFilter) -> None:
    request = convert.to_filter(wanted, page_size=3, page_token="t")
    assert convert.from_filter(request) == wanted
    assert (request.page_size, request.page_token) == (3, "t")


@pytest.mark.parametrize("state", FixState)
def test_every_state_has_a_number(state: FixState) -> None:
    assert fix_pb2.FixState.Value(f"FIX_STATE_{state.value}") > 0


def test_words_of_a_newer_release_are_clear_errors() -> None:
    said = fix_pb2.FixTask(digest=digest_of(b"x"))
    said.state = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as answered:
        convert.from_task(said)
    assert answered.value.reason == "NEWER_RELEASE"
    request = fixer_service_pb2.ListFixTasksRequest()
    request.state = 99  # type: ignore[assignment] # open enums hold any number
    with pytest.raises(ServiceError) as asked:
        convert.from_filter(request)
    assert asked.value.reason == "INVALID_STATE"
