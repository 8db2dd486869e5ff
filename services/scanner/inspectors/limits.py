"""Bounds for looking into what files hold."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InspectionLimits:
    """How much of a layer's content is held at once and unpacked; what is not looked at is told in a warning."""

    window_bytes: int = 16 << 20
    """Larger files are searched in windows of this size; a rule sees one window at a time."""
    overlap_bytes: int = 64 << 10
    """What one window has of the one before."""
    archive_bytes: int = 64 << 20
    """Larger archives are not opened."""
    archive_depth: int = 3
    """Archives within archives that are opened, the outermost counted."""
    archive_members: int = 50_000
    """Files of one archive."""
    unpacked_bytes: int = 256 << 20
    """What one archive may unpack to."""
    layer_unpacked_bytes: int = 1 << 30
    """What the archives of one layer may unpack to together."""
    scan_seconds: int = 20
    """Longest time for one window or one member of an archive."""
    sightings: int = 100
    """Findings of one rule in one layer; there is a warning that tells of more."""
