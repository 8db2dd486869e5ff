"""Bounds: what one scan may take and whom it asks, as plain values; `settings.py` reads them."""

from __future__ import annotations

import dataclasses
import os
from datetime import timedelta
from pathlib import Path

from services.kernel.environment import settings_in
from services.layers.limits import LayerLimits
from services.registry.limits import SourceSettings
from services.scanner.inspectors.clamd import Clamd
from services.scanner.inspectors.limits import InspectionLimits


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ScanBounds:
    """The defaults are those of the settings, whose words tell what each is for."""

    worker_processes: int = 2
    worker_memory_bytes: int = 2 << 30
    layer_seconds: float = 900.0
    match_seconds: float = 120.0
    spool_bytes: int = 20 << 30
    malware_rules: Path | None = None
    clamd: Clamd | None = None
    layers: LayerLimits = dataclasses.field(default_factory=LayerLimits)
    inspection: InspectionLimits = dataclasses.field(default_factory=InspectionLimits)
    source: SourceSettings = dataclasses.field(default_factory=SourceSettings)
    advisory_age: timedelta = timedelta(days=7)


def read_bounds() -> ScanBounds:
    """Returns what the environment says; where it says nothing of us, nothing that reads it is imported either.

    Raises:
        pydantic.ValidationError: a variable holds what cannot be.
    """
    if not any(settings_in(os.environ)):
        return ScanBounds()
    from services.scanner.settings import bounds_of_settings  # noqa: PLC0415

    return bounds_of_settings()
