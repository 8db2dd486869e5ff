"""How long a server asks us to wait, as read from its header."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.retry_after import LONGEST_SECONDS, parse_retry_after

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class FixedClock:
    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("999999999999999999999", 86400.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Thu, 01 Jan 2026 00:01:00", 60.0),
        ("Wed, 31 Dec 2025 00:00:00 GMT", 0.0),
        ("Fri, 01 Jan 2999 00:00:00 GMT", 86400.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        ("١٢", None),
    ],
)
def test_retry_after_is_read_and_bounded(value: str | None, seconds: float | None) -> None:
    assert parse_retry_after(value, FixedClock()) == seconds


@given(st.text(max_size=40))
def test_whatever_retry_after_says_it_is_bounded(value: str) -> None:
    seconds = parse_retry_after(value, FixedClock())
    assert seconds is None or 0 <= seconds <= LONGEST_SECONDS
