"""What is given to a worker process for the report of one run of Trivy."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from pathlib import Path

from services.kernel.model.finding import FindingKind
from services.kernel.model.report import EngineInfo, Layer
from services.scanner.records import ScannedImage
from services.scanner.trivy.database import TrivyDatabase


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrivyCase:
    """All that a report is made of; small enough to travel to a worker process."""

    reference: str
    digest: str
    platform: str
    layers: tuple[Layer, ...]
    output: Path
    output_bytes: int
    said: str
    """What Trivy wrote to standard error."""
    kinds: frozenset[FindingKind]
    engine: EngineInfo
    database: TrivyDatabase
    now: datetime
    max_age: timedelta


def report_remotely(case: TrivyCase) -> ScannedImage:
    """Runs `report.report_of`: what it needs is imported there alone."""
    from services.scanner.trivy.report import report_of  # noqa: PLC0415

    return report_of(case)
