"""Worker processes for a pipeline under test."""

from __future__ import annotations

from functools import partial

from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import spawn_template


def spawned_workers(processes: int = 2, memory_bytes: int = 2 << 30) -> WorkerPool:
    """Those that a server has."""
    return WorkerPool(partial(spawn_template, ()), processes=processes, memory_bytes=memory_bytes)
