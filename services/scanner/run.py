"""A run of a rule as people see it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping
from datetime import datetime

from services.kernel.model.severity import Severity


class RunState(enum.Enum):
    """Where a run of a rule stands."""

    RUNNING = "RUNNING"
    """Images are asked for, or wait, or are scanned."""
    COMPLETE = "COMPLETE"
    """Every image that was asked for is COMPLETE; there may have been none."""
    COMPLETE_WITH_FAILURES = "COMPLETE_WITH_FAILURES"
    """Some images are COMPLETE; others failed, or could not even be asked for."""
    FAILED = "FAILED"
    """Nothing succeeded, or the registry could not be asked to the end."""
    CANCELLED = "CANCELLED"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen by itself."""
        return self is not RunState.RUNNING


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReasonCount:
    """How often something failed for one reason."""

    reason: str
    count: int
    message: str
    """One of the sentences."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A task of a whole rule: one scan for each image."""

    run_id: str
    rule_id: str
    instance_id: str
    state: RunState
    reason: str
    """Why the registry could not be asked to the end, or is asked later."""
    message: str
    enumerated: bool
    """Whether every image is known; until then the counts grow."""
    repositories: int
    tags: int
    """Those that do not match included."""
    images: int
    """That were asked for; the next six tell of these."""
    pending: int
    """Wait for a worker, or are on the way to the scanner."""
    running: int
    retrying: int
    complete: int
    undecided: int
    """Of the complete ones: nothing could be judged."""
    failed: int
    """Cancelled ones included."""
    unresolved: int
    """Tags and repositories that could not be asked for."""
    vanished: int
    """Tags and repositories that were gone when they were asked for."""
    failures: tuple[ReasonCount, ...]
    """Most frequent first."""
    findings: Mapping[Severity, int]
    """Of all images together; empty until it has ended."""
    created_at: datetime
    ended_at: datetime | None
