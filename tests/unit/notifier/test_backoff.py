"""What follows an attempt."""

from __future__ import annotations

import random
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.notifier.backoff import Again, Backoff, Dead, Delivered
from services.notifier.channels.interface import Outcome, Verdict
from services.notifier.settings import NotifierSettings
from tests.builders.notifier import MOMENT

SETTINGS = NotifierSettings(
    attempts=5, age_seconds=10_000, retry_first_seconds=2, retry_longest_seconds=60, attempt_seconds=1
)
AGAIN = Outcome(verdict=Verdict.TRY_AGAIN, reason="TARGET_ERROR", message="The target answers 503.")


class Highest(random.Random):
    """Draws the upper bound always."""

    def uniform(self, a: float, b: float) -> float:
        return b


def pause_after(outcome: Outcome, attempt: int) -> float:
    following = Backoff(SETTINGS, Highest()).after(outcome, attempt=attempt, created_at=MOMENT, now=MOMENT)
    assert isinstance(following, Again)
    return following.pause_seconds


def test_the_bound_of_the_pause_doubles_up_to_the_longest() -> None:
    settings = NotifierSettings(attempts=10, retry_first_seconds=2, retry_longest_seconds=20)
    backoff = Backoff(settings, Highest())
    pauses = []
    for attempt in range(1, 7):
        following = backoff.after(AGAIN, attempt=attempt, created_at=MOMENT, now=MOMENT)
        assert isinstance(following, Again)
        pauses.append(following.pause_seconds)
    assert pauses == [2, 4, 8, 16, 20, 20]


@given(st.integers(1, 4), st.integers())
def test_the_pause_is_drawn_from_zero_to_the_bound(attempt: int, seed: int) -> None:
    backoff = Backoff(SETTINGS, random.Random(seed))
    following = backoff.after(AGAIN, attempt=attempt, created_at=MOMENT, now=MOMENT)
    assert isinstance(following, Again)
    assert 0 <= following.pause_seconds <= 2 * 2 ** (attempt - 1)


def test_a_longer_pause_that_the_target_asks_for_is_kept_to() -> None:
    asked = Outcome(verdict=Verdict.TRY_AGAIN, retry_after=30.0)
    assert pause_after(asked, 1) == 30
    assert pause_after(Outcome(verdict=Verdict.TRY_AGAIN, retry_after=1.0), 2) == 4


def test_no_target_can_ask_for_more_than_the_longest_pause() -> None:
    assert pause_after(Outcome(verdict=Verdict.TRY_AGAIN, retry_after=1e9), 1) == 60


def test_a_late_attempt_of_many_is_still_a_number() -> None:
    settings = NotifierSettings(attempts=1000, retry_longest_seconds=60)
    following = Backoff(settings, Highest()).after(AGAIN, attempt=999, created_at=MOMENT, now=MOMENT)
    assert following == Again(pause_seconds=60)


def test_success_ends_it_and_so_does_refusal() -> None:
    backoff = Backoff(SETTINGS, Highest())
    done = Outcome(verdict=Verdict.DELIVERED, http_status=204)
    assert backoff.after(done, attempt=1, created_at=MOMENT, now=MOMENT) == Delivered()
    no = Outcome(verdict=Verdict.GIVE_UP, reason="TARGET_REFUSES", message="no")
    assert backoff.after(no, attempt=1, created_at=MOMENT, now=MOMENT) == Dead(
        reason="TARGET_REFUSES", message="no"
    )


def test_the_last_attempt_kills_the_delivery_with_the_last_reason() -> None:
    following = Backoff(SETTINGS, Highest()).after(AGAIN, attempt=5, created_at=MOMENT, now=MOMENT)
    assert following == Dead(reason="ATTEMPTS_EXHAUSTED", message="5 attempts failed. The target answers 503.")


def test_a_delivery_that_would_become_too_old_is_dead() -> None:
    late = MOMENT + timedelta(seconds=9_999)
    following = Backoff(SETTINGS, Highest()).after(AGAIN, attempt=1, created_at=MOMENT, now=late)
    assert isinstance(following, Dead)
    assert following.reason == "DELIVERY_TOO_OLD"
