"""A layer's file, as stored in a registry, on this machine's disk."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from services.registry.interface import Descriptor


@dataclasses.dataclass(frozen=True, slots=True)
class LayerFile:
    """Where it lies, and whether anybody held it against its digest so far."""

    descriptor: Descriptor
    path: Path
    verified: bool = True
    """False for a file that is not ours: whoever reads it holds the bytes that it gets against the digest."""
