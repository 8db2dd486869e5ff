"""Runs of rules as other services see them; they import it through `services.rules.api`."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime
from typing import Protocol


class RunState(enum.Enum):
    """How far a run has come with asking. What became of its images, the scanner knows."""

    ASKING = "ASKING"
    """The registry is asked for its tags and what they have."""
    ASKED = "ASKED"
    """Every image was asked for."""
    FAILED = "FAILED"
    """The registry could not be asked to the end."""
    CANCELLED = "CANCELLED"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunNote:
    """A tag, or a whole repository, that could not be asked for."""

    repository: str
    """Its path."""
    tag: str
    """Empty for the whole repository."""
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RuleRun:
    """One run of a scan rule."""

    run_id: str
    rule_id: str
    """It may have been changed or deleted since."""
    instance_id: str
    state: RunState
    reason: str
    """Of FAILED, or of a delay."""
    message: str
    scheduled: bool
    repositories: int
    """In the rule's scope, so far."""
    tags: int
    """In these repositories, so far."""
    waiting: int
    """Tags that match and whose digest is still to be asked for."""
    requested: int
    """Scans that were asked for: as many tasks are or will be there."""
    unresolved: int
    """Tags and repositories that could not be asked for, without those that vanished."""
    vanished: int
    """Tags and repositories that were gone when asked for, and lists with names that no image can have."""
    notes: tuple[RunNote, ...]
    """Of the unresolved and the vanished, the first hundred."""
    created_at: datetime
    ended_at: datetime | None
    """When all its images had ended."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RulePreview:
    """What a run of a rule would scan now."""

    repositories: int
    tags: int
    matching: int
    sample: tuple[str, ...]
    """`NAMESPACE/REPO:TAG` of some that match."""
    complete: bool
    """False when the time was up: the counts are those of a part."""
    notes: tuple[RunNote, ...]
    """Some of the repositories that could not be read."""


class RunsApi(Protocol):
    """Runs of rules. Errors of every call: RUN_NOT_EXIST or SCAN_RULE_NOT_EXIST (NOT_FOUND)."""

    async def preview_rule(self, rule_id: str) -> RulePreview:
        """Asks the registry what a run would scan, for a bounded time, and starts nothing.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED; a registry reason such as REGISTRY_CATALOG_REFUSED.
        """
        ...

    async def run_rule(self, rule_id: str, *, request_id: str = "") -> RuleRun:
        """Starts a run and returns at once. Idempotent by `request_id` (a UUID), which becomes the run's id.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED; RUN_UNDER_WAY (FAILED_PRECONDITION, `run_id` in its metadata)
                while another run of the rule has not ended; REQUEST_ID_REUSED.
        """
        ...

    async def get_run(self, run_id: str) -> RuleRun:
        """Returns one run."""
        ...

    async def cancel_run(self, run_id: str) -> RuleRun:
        """Asks for no more images of a run; one that has ended stays as it is. Idempotent."""
        ...

    async def resume_run(self, run_id: str) -> RuleRun:
        """Asks again for what could not be asked for, and goes on where a run stopped. Idempotent.

        Raises:
            ServiceError: EDITION_NOT_SUPPORTED; RUN_UNDER_WAY when another run of the rule has not ended.
        """
        ...

    async def end_run(self, run_id: str) -> None:
        """Notes that every image of a run has ended; nothing happens while more are asked for. Idempotent."""
        ...
