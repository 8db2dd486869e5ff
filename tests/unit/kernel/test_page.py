"""Page tokens continue the question that they were made for, and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.kernel.model.page import decode_token, encode_token, page_size

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


def test_sizes_are_clamped_and_negative_ones_refused() -> None:
    assert (page_size(0), page_size(7), page_size(10_000)) == (100, 7, 1000)
    with pytest.raises(ServiceError):
        page_size(-1)
