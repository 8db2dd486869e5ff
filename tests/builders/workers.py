"""Worker processes for a pipeline under test."""

from __future__ import annotations

from services.kernel.workers.interface import Workers
from services.kernel.workers.spawned import SpawnedWorkers


def two_workers() -> Workers:
    """Two of the kind that a server has."""
    return SpawnedWorkers(processes=2, memory_bytes=2 << 30)
