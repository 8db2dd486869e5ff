"""Page tokens continue the question that they were made for, and no other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.model.page import decode_moment, decode_token, encode_token, page_size

_PART = st.text(max_size=20).filter(lambda part: "\0" not in part)  # no database takes one in a text


@given(st.lists(_PART, min_size=1, max_size=3), st.text(max_size=10))
def test_a_token_gives_back_its_position(position: list[str], question: str) -> None:
    assert decode_token(encode_token(tuple(position), question), question) == tuple(position)


def test_a_token_of_another_question_is_refused() -> None:
    with pytest.raises(ServiceError, match="does not belong"):
        decode_token(encode_token(("a",), "one"), "two")


@given(st.text(max_size=40).filter(bool))
def test_damaged_tokens_are_refused_and_break_nothing(token: str) -> None:
    with pytest.raises(ServiceError):
        decode_token(token, "question")


def test_a_moment_and_its_id_come_back() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=8)))
    token = encode_token((moment.isoformat(), "crscnr-1"), "q")
    assert decode_moment(token, "q") == (moment.astimezone(UTC), "crscnr-1")
    assert decode_moment("", "q") is None


@pytest.mark.parametrize(
    "position",
    [
        ("2026-01-02T03:04:05+00:00",),
        ("2026-01-02T03:04:05+00:00", "x", "y"),
        ("2026-01-02T03:04:05", "no zone"),
        ("yesterday", "x"),
        ("0001-01-01T00:00:00+23:00", "before the first year"),
        ("9999-12-31T23:59:59-23:00", "after the last"),
    ],
)
def test_a_position_that_is_no_moment_and_id_is_refused(position: tuple[str, ...]) -> None:
    with pytest.raises(ServiceError) as caught:
        decode_moment(encode_token(position, "q"), "q")
    assert caught.value.reason == "INVALID_PAGE_TOKEN"


def test_an_id_of_a_list_of_uuids_is_one() -> None:
    moment, known = "2026-01-02T03:04:05+00:00", "5b1f0c9e-8f1e-4c55-9d50-0f6c2a1b7d11"
    found = decode_moment(encode_token((moment, known)), is_uuid=True)
    assert found == (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), known)
    with pytest.raises(ServiceError, match="does not belong"):
        decode_moment(encode_token((moment, "task-1")), is_uuid=True)


def test_sizes_are_clamped_and_negative_ones_refused() -> None:
    assert (page_size(0), page_size(7), page_size(10_000)) == (100, 7, 1000)
    with pytest.raises(ServiceError):
        page_size(-1)
