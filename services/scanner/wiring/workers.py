"""The worker processes of a scanner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import Template, spawn_template
from services.scanner.bounds import ScanBounds
from services.scanner.wiring.template import MODULES


def server_workers(bounds: ScanBounds) -> WorkerPool:
    """Starts those of a server. Call it from the thread that lives as long as the process."""
    return _pool(bounds, partial(spawn_template, MODULES), kept=1)


def one_shot_workers(template: Template, bounds: ScanBounds) -> WorkerPool:
    """Returns the workers of one scan; when the template dies, so do they."""
    return _pool(bounds, lambda: template)


def _pool(bounds: ScanBounds, start: Callable[[], Template], *, kept: int = 0) -> WorkerPool:
    return WorkerPool(start, processes=bounds.worker_processes, memory_bytes=bounds.worker_memory_bytes, kept=kept)
