"""The worker processes of a scanner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import Template, spawn_template
from services.scanner.bounds import ScanBounds
from services.scanner.inspectors.inspection import Inspection
from services.scanner.pipeline.remote import ready_remotely
from services.scanner.wiring.template import LATER, MODULES


def server_workers(bounds: ScanBounds, inspection: Inspection | None) -> WorkerPool:
    """Starts those of a server. Call it from the thread that lives as long as the process."""
    pool = _pool(bounds, partial(spawn_template, (*MODULES, *LATER)), kept=1)
    if inspection is not None:
        pool.prepare(ready_remotely, inspection)
    return pool


def one_shot_workers(template: Template, bounds: ScanBounds) -> WorkerPool:
    """Returns the workers of one scan; when the template dies, so do they."""
    return _pool(bounds, lambda: template)


def _pool(bounds: ScanBounds, start: Callable[[], Template], *, kept: int = 0) -> WorkerPool:
    return WorkerPool(start, processes=bounds.worker_processes, memory_bytes=bounds.worker_memory_bytes, kept=kept)
