"""What follows an attempt: done, dead, or once more, and when."""

from __future__ import annotations

import dataclasses
import random
from datetime import datetime, timedelta

from services.notifier.channels.interface import Outcome, Verdict
from services.notifier.settings import NotifierSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """The target has it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Another attempt."""

    pause_seconds: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dead:
    """No further attempt."""

    reason: str
    message: str


Next = Delivered | Again | Dead


class Backoff:
    """Exponential back-off with full jitter: the pause is drawn evenly from zero to a bound that doubles."""

    def __init__(self, settings: NotifierSettings, chance: random.Random) -> None:
        self._settings = settings
        self._chance = chance

    def after(
        self,
        outcome: Outcome,
        *,
        attempt: int,
        created_at: datetime,
        now: datetime,
        pause: float | None = None,
    ) -> Next:
        """Returns what follows the attempt with this number, counted from 1.

        A `pause` that is given is made; else it is drawn.
        """
        if outcome.verdict is Verdict.DELIVERED:
            return Delivered()
        if outcome.verdict is Verdict.GIVE_UP:
            return Dead(reason=outcome.reason, message=outcome.message)
        if self.is_exhausted(attempt):
            return exhausted(attempt, outcome)
        pause = self.pause(attempt, outcome.retry_after) if pause is None else pause
        if now + timedelta(seconds=pause) > created_at + timedelta(seconds=self._settings.age_seconds):
            return Dead(
                reason="DELIVERY_TOO_OLD",
                message=f"It could not be delivered within {self._settings.age_seconds:g} s. {outcome.message}",
            )
        return Again(pause_seconds=pause)

    def is_exhausted(self, attempt: int) -> bool:
        """Tells whether the attempt with this number was the last one."""
        return attempt >= self._settings.attempts

    def pause(self, attempt: int, asked: float | None) -> float:
        """Draws a pause; one that the target asks for is made if it is longer, up to the longest of our own."""
        longest = self._settings.retry_longest_seconds
        # The exponent is bounded too: 2.0 ** 5000 is no number.
        bound = min(longest, self._settings.retry_first_seconds * 2.0 ** min(attempt - 1, 60))
        return max(self._chance.uniform(0.0, bound), min(asked or 0.0, longest))


def exhausted(attempts: int, last: Outcome) -> Dead:
    """The end of a delivery that was tried as often as it may."""
    return Dead(
        reason="ATTEMPTS_EXHAUSTED",
        message=f"{attempts} attempts failed. {last.message}".strip(),
    )
