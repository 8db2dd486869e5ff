"""What the scanner is told over the bus, as values of ours."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.scanner.lanes import LANE_PUSH
from services.scanner.records import ImageAddress
from services.scanner.tags.records import Subject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TagPushed:
    """A tag was pushed."""

    event_id: str
    image: ImageAddress
    revision: int
    occurred_at: datetime
    """By the registry's clock."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """Something is said to be gone."""

    subject: Subject


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """Somebody pulled an image."""

    repo_id: str
    references: tuple[str, ...]
    """Its digest, and the tag where it was pulled by one."""
    occurred_at: datetime


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A registry was asked which tags a repository has."""

    subject: Subject
    """The repository."""
    tags: Mapping[str, Digest]
    """Some of them."""
    walk: int
    began_at: datetime
    """When the walk began, which may list for hours."""
    last: bool
    """Whether all others came in earlier events of the same walk."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequested:
    """A task is to begin."""

    task_id: str
    image: ImageAddress
    revision: int
    engine: Engine
    rule_ids: tuple[str, ...]
    target_ids: tuple[str, ...]
    requested_at: datetime
    asked_at: datetime | None = None
    """When the registry was asked what the tag has; None for a push, which moves its tag by itself."""
    run_id: str = ""
    """Run of a rule that asks; empty for none."""
    traceparent: str = ""
    """Trace of whoever asks; empty where none is known."""
    lane: int = LANE_PUSH
    """One of `LANES`."""
    loan: bytes = dataclasses.field(default=b"", repr=False)
    """Sealed credentials of whoever asks (`tasks/loans.py`); never over the bus."""
