"""What the scanner is told over the bus, as values of ours."""

from __future__ import annotations

import dataclasses
from datetime import datetime

from services.kernel.model.engine import Engine
from services.scanner.lanes import LANE_PUSH
from services.scanner.records import ImageAddress


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TagPushed:
    """A tag was pushed."""

    event_id: str
    image: ImageAddress
    revision: int
    occurred_at: datetime
    """By the registry's clock."""


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
