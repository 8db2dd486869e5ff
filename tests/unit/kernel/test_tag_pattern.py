"""Tag patterns: what RE2 refuses is refused with its words, and no pattern takes more than its share."""

from __future__ import annotations

import pytest

from services.kernel.errors import ServiceError
from services.kernel.tag_pattern import MAX_PATTERN_CHARACTERS, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(a", "missing )"),
        ("(?=x)", "invalid perl operator"),
        ("[z-a]", "invalid character class range"),
        ("a**", "bad repetition operator"),
        (r"(\d)\1", "invalid escape sequence"),
        (r"\p{L}{500}", "pattern too large"),
        ("", "1 to 512 characters"),
        ("a" * (MAX_PATTERN_CHARACTERS + 1), "1 to 512 characters"),
        ("a\0", "zero character"),
    ],
)
def test_a_bad_pattern_is_refused_with_the_reason(pattern: str, why: str) -> None:
    with pytest.raises(ServiceError) as caught:
        compile_pattern(pattern)
    assert caught.value.reason == "INVALID_TAG_PATTERN"
    assert caught.value.field == "tag_pattern"
    assert why in caught.value.message


def test_a_pattern_of_the_full_length_is_taken() -> None:
    assert compile_pattern("a" * MAX_PATTERN_CHARACTERS).fullmatch(b"a" * MAX_PATTERN_CHARACTERS)


def test_a_pattern_that_is_exponential_elsewhere_still_answers() -> None:
    assert compile_pattern("(a*)*b").fullmatch(b"a" * 128) is None


def test_a_pattern_whose_states_do_not_fit_its_memory_still_answers_rightly() -> None:
    pattern = compile_pattern("(?:[ab]{0,60}a[ab]{20})")
    assert pattern.fullmatch(b"ab" * 30 + b"a" + b"ab" * 10) is not None
    assert pattern.fullmatch(b"c" * 80) is None
