"""Why an attempt ended without a fix, whatever it was that ended it."""

from __future__ import annotations

import dataclasses

from services.fixer.failure import FixFailure, FixReason
from services.kernel.errors import Kind, ServiceError
from services.kernel.reasons import INSTANCE_REFUSALS, Retry, ScanFailure

_AWAY = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})
_PASSING = _AWAY | {Kind.ABORTED, Kind.RESOURCE_EXHAUSTED, Kind.INTERNAL}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setback:
    """A failure, and what follows from it."""

    failure: ServiceError
    again: bool
    """Whether trying again by itself can help."""
    away: bool = False
    """Another service of ours could not be asked: no fault of the image, and no attempt that counts."""


def setback_of(error: Exception) -> Setback:
    """Says what a failed attempt means."""
    if isinstance(error, FixFailure | ScanFailure):
        return Setback(failure=error, again=error.why.retry is Retry.AUTOMATIC)
    if not isinstance(error, ServiceError):
        return Setback(failure=_broke(error), again=True)
    if error.reason in INSTANCE_REFUSALS:
        gone = FixFailure(FixReason.INSTANCE_GONE, error.message, hint=error.hint)
        return Setback(failure=gone, again=False)
    return Setback(failure=error, again=error.kind in _PASSING, away=error.kind in _AWAY)


def given_up(attempts: int) -> FixFailure:
    """The end of a task whose workers die."""
    return FixFailure(
        FixReason.WORKER_DIED,
        f"The fix was begun {attempts} times, and in the end its worker died.",
        hint="Look at the fixer's log and memory.",
    )


def too_slow(seconds: float) -> FixFailure:
    """The end of an attempt at its deadline."""
    return FixFailure(
        FixReason.FIX_TIMED_OUT,
        f"The fix took longer than {seconds:.0f} seconds.",
        hint="Raise DRYDOCK_FIXER_FIX_SECONDS if the image is that large.",
    )


def _broke(error: Exception) -> FixFailure:
    return FixFailure(
        FixReason.INTERNAL,
        "The fix stopped because of a fault of ours.",
        hint="The fixer's log has the details under this task's id.",
        metadata={"error": type(error).__name__},
    )
