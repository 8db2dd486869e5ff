"""What is given to a worker process for the report of one image."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path

from services.kernel.model.finding import FindingKind
from services.kernel.model.report import EngineInfo, Layer, ReportWarning


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that a report is made of; small enough to travel to a worker process."""

    reference: str
    digest: str
    platform: str
    layers: tuple[Layer, ...]
    config: bytes
    """The image's configuration; empty where nobody asks for what it tells."""
    analyses: tuple[bytes, ...]
    """Encoded analyses, one for each layer."""
    engine: EngineInfo
    data: Path
    """Data directory whose current advisory file is used."""
    kinds: frozenset[FindingKind]
    """What is looked for."""
    complaints: tuple[ReportWarning, ...]
    """What is wrong with the operator's rules."""
    now: datetime
    max_age: timedelta
    kept: bool = False
    """Whether what the packages are matched by is wanted, too, to be matched again when advisories change."""
