"""What re-evaluation works with: inventories, what matching says of them now, and what that changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

from services.kernel.model.report import AdvisoriesInfo
from services.kernel.model.severity import Severity
from services.scanner.records import Difference, Outcome, TaskRecord


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A set of advisories; numbers grow with their age's end: the highest is the youngest."""

    number: int
    version: str
    """Name of the advisories, and of what matches them (`matcher.generation_name`)."""
    built_at: datetime
    ended: bool
    """Whether everything was matched with it."""
    unmarked: bool
    """Whether reports that cannot be matched again are still to be marked."""

    @property
    def advisories(self) -> str:
        """Version of the advisories alone."""
        return self.version.partition(";")[0]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedInventory:
    """An inventory to be matched, which nobody else takes for a while."""

    digest: str
    content: bytes
    """Packed."""
    touched: int
    """Older reports that had come in when it was taken."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReportGroup:
    """Reports that rest on one answer about one inventory."""

    inventory: str
    verdict: str
    stale: bool
    """Whether they are marked as not judged by the advisories that count."""
    scan_id: str
    """Of one of them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RematchCase:
    """All that inventories are matched by; small enough to travel to a worker process."""

    inventories: Mapping[str, bytes]
    """Packed, by digest."""
    data: Path
    """Data directory whose current advisory file is used."""
    now: datetime
    max_age: timedelta


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rematched:
    """What matching says of one inventory now."""

    inventory: str
    verdict: str
    content: bytes
    """The verdict, packed."""
    advisories: AdvisoriesInfo
    outcome: Outcome
    """Of an image in whose files nothing else was found."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Unmatched:
    """Why an inventory could not be matched."""

    inventory: str
    reason: str
    message: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rematch:
    """The answers to a case, and by which version of the advisories."""

    version: str
    answers: tuple[Rematched | Unmatched, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What another verdict changes."""

    difference: Difference
    matters: bool
    """Whether anybody is to be told: findings differ, or how far they may be trusted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartOf:
    """A scan as a part of an index that has not failed."""

    scan_id: str
    index_id: str
    is_open: bool
    """Whether the index is yet to be judged by its parts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RejudgedTask:
    """A task as it stands by newer advisories."""

    task: TaskRecord
    newest: bool
    """Whether it is what its image shows."""
    superseded: bool
    """Whether its tag has another digest by now."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Tally:
    """What was done."""

    inventories: int = 0
    failed: int = 0
    changed: int = 0
    """Inventories of which something else is said."""
    images: int = 0
    """Reports, of one platform each, of which something else is said."""
    events: int = 0

    def add(self, more: Tally) -> None:
        """Adds what else was done."""
        self.inventories += more.inventories
        self.failed += more.failed
        self.changed += more.changed
        self.images += more.images
        self.events += more.events


def moved(outcome: Outcome, beside: Mapping[Severity, int]) -> Outcome:
    """Returns the outcome of an image in whose files something else was found as well."""
    findings = {each: outcome.findings.get(each, 0) + beside.get(each, 0) for each in Severity}
    return dataclasses.replace(outcome, findings=findings)
