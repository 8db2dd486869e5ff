"""Cron expressions: when a rule is run by itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.errors import ServiceError
from services.rules.runs.schedule import next_run

MOMENT = datetime(2026, 11, 24, 12, 30, 15, tzinfo=UTC)  # a Tuesday


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("* * * * *", datetime(2026, 11, 24, 12, 31, tzinfo=UTC)),
        ("30 2 * * MON", datetime(2026, 11, 30, 2, 30, tzinfo=UTC)),
        ("*/15 * * * *", datetime(2026, 11, 24, 12, 45, tzinfo=UTC)),
        ("0 0 29 2 *", datetime(2028, 2, 29, tzinfo=UTC)),
        ("30 12 24 11 *", datetime(2027, 11, 24, 12, 30, tzinfo=UTC)),
    ],
)
def test_next_moment_is_the_one_that_cron_names(schedule: str, following: datetime) -> None:
    assert next_run(schedule, MOMENT) == following


def test_moments_are_in_utc_whatever_zone_it_is_asked_in() -> None:
    elsewhere = MOMENT.astimezone(timezone(timedelta(hours=8)))
    assert next_run("0 13 * * *", elsewhere) == datetime(2026, 11, 24, 13, tzinfo=UTC)


def test_no_schedule_has_no_moment() -> None:
    assert next_run("", MOMENT) is None


@pytest.mark.parametrize(
    "schedule",
    ["* * * *", "0 * * * * *", "61 * * * *", "@daily", "0 0 30 2 *", "* * * * MOON", "1-0 * * * *", "٣ * * * *"],
)
def test_what_names_no_moment_is_refused(schedule: str) -> None:
    with pytest.raises(ServiceError) as caught:
        next_run(schedule, MOMENT)
    assert (caught.value.reason, caught.value.field) == ("INVALID_SCHEDULE", "schedule")


@given(st.text(alphabet="0123456789*/,-#L WMONTUE\n\0", max_size=140))
def test_any_text_is_read_or_refused(schedule: str) -> None:
    try:
        following = next_run(schedule, MOMENT)
    except ServiceError as error:
        assert error.reason == "INVALID_SCHEDULE"
    else:
        assert following is None or following > MOMENT
