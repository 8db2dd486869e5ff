"""What rules reads from the bus and what it puts there."""

from __future__ import annotations

import dataclasses
import enum
from datetime import datetime

from services.kernel.model.digest import Digest
from services.kernel.model.engine import Engine
from services.kernel.model.reference import RepositoryName


class Action(enum.Enum):
    """What happened to a manifest."""

    PUSH = "PUSH"
    DELETE = "DELETE"
    PULL = "PULL"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ImageEvent:
    """Something happened to one manifest of a registry."""

    event_id: str
    instance_id: str
    action: Action
    repository: RepositoryName
    tag: str
    """Empty where the registry named none."""
    digest: Digest
    revision: int
    traceparent: str = ""
    """Trace that it belongs to; empty where none is known."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanRequest:
    """What the scanner is asked to do: one task on one image."""

    task_id: str
    instance_id: str
    repo_id: str
    repository: RepositoryName
    tag: str
    digest: Digest
    revision: int
    engine: Engine
    rule_ids: tuple[str, ...]
    """Sorted."""
    target_ids: tuple[str, ...]
    """Sorted: those of the rules now, at the time of the push."""
    requested_at: datetime
    traceparent: str = ""
    """Trace of the event that it follows from."""
