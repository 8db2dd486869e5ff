"""The worker processes of a scanner."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from services.kernel.workers.pool import WorkerPool
from services.kernel.workers.template import Template, spawn_template
from services.scanner.settings import ScannerSettings
from services.scanner.wiring.template import MODULES


def server_workers(settings: ScannerSettings) -> WorkerPool:
    """Starts those of a server. Call it from the thread that lives as long as the process."""
    return _pool(settings, partial(spawn_template, MODULES))


def one_shot_workers(template: Template, settings: ScannerSettings) -> WorkerPool:
    """Returns the workers of one scan; when the template dies, so do they."""
    return _pool(settings, lambda: template)


def _pool(settings: ScannerSettings, start: Callable[[], Template]) -> WorkerPool:
    return WorkerPool(start, processes=settings.worker_processes, memory_bytes=settings.worker_memory_bytes)
